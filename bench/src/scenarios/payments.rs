//! An order charged and refunded: the core of payments, and its events on disk.

use uuid::Uuid;
use viscount_contracts::{Envelope, RefundId, Topic};
use viscount_payments::{
    codec,
    domain::{Answer, Event, Intent, Payment, Terms},
};

use super::world::{NOW, customer, delivered, gbp, order};
use crate::{Run, repeat};

/// Every event, with the payment before it.
fn live() -> Vec<(Payment, Event)> {
    let terms = Terms { customer: customer(), amount: gbp(4_200), token: "tok_visa".to_owned() };
    let refund = RefundId::from(Uuid::from_u128(3));
    let mut told = Vec::with_capacity(2);
    let mut payment = Payment::of(order());
    for (intent, amount) in
        [(Intent::Charge(terms), 4_200), (Intent::Refund { id: refund, amount: gbp(1_000) }, 1_000)]
    {
        let reference = "ch_0198a7c2d3e4".to_owned();
        let answer = payment.asks(&intent).map(|_| Answer::Done { reference, amount: gbp(amount) });
        for event in payment.decide(intent.with(answer)) {
            let before = payment.clone();
            payment.evolve(&event, NOW);
            told.push((before, event));
        }
    }
    told
}

fn store(events: &[(Payment, Event)]) -> Vec<Envelope> {
    let encode = |(payment, event): &(Payment, Event)| {
        delivered(Topic::Payments, codec::encode(payment, payment.version() + 1, event, NOW))
    };
    events.iter().map(encode).collect()
}

pub fn life() -> Run {
    assert_eq!(live().len(), 2, "processed and refunded");
    repeat(live)
}

pub fn codec() -> Run {
    let events = live();
    repeat(move || codec::restore(order(), &store(&events)).unwrap())
}
