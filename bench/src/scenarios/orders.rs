//! The life of an order: its core, and its events on disk.

use std::collections::HashMap;

use viscount_contracts::{PaymentId, ProductId, Quantity, Topic};
use viscount_orders::{
    codec,
    domain::{Address, Command, Draft, Event, Offer, Order, PaymentMeans, Policy, decide, evolve, price},
};

use super::world::{NOW, basket, customer, delivered, gbp, order, product};
use crate::{Run, repeat};

type Book = HashMap<ProductId, Offer>;

fn book() -> Book {
    let offer = |line: u8| Offer {
        sku: format!("TEA-{line}"),
        name: format!("First flush, harvest {line}, 100 g tin"),
        price: gbp(1_250 + 100 * i64::from(line)),
        on_sale: true,
    };
    (0..4).map(|line| (product(line), offer(line))).collect()
}

fn draft(book: &Book, wanted: &[(ProductId, Quantity)]) -> Box<Draft> {
    let (lines, total) = price(wanted, |product| book.get(&product)).unwrap();
    let address = Address {
        name: "A. Buyer".to_owned(),
        lines: vec!["1 High Street".to_owned()],
        city: "London".to_owned(),
        postal_code: "N1 1AA".to_owned(),
        country: "GB".to_owned(),
    };
    let means = PaymentMeans { method: "card".to_owned(), token: "tok_visa".to_owned() };
    Box::new(Draft { customer: customer(), lines, total, means, address: Some(address) })
}

/// From the basket to the completed order. `tell` hears each event, with the order after it.
fn live(
    book: &Book,
    wanted: &[(ProductId, Quantity)],
    mut tell: impl FnMut(&Event, &Order),
) -> Option<Order> {
    let draft = draft(book, wanted);
    let amount = draft.total;
    let payment = PaymentId::from(order().uuid());
    let mut state = None;
    for command in [Command::Create(draft), Command::ConfirmStock, Command::RecordPayment { payment, amount }]
    {
        for event in decide(state.as_ref(), command, Policy::default()).unwrap() {
            state = evolve(order(), state, &event, NOW);
            tell(&event, state.as_ref().unwrap());
        }
    }
    state
}

/// Every event of a life, with the order after it.
fn told() -> Vec<(Event, Order)> {
    let mut told = Vec::new();
    live(&book(), &basket(), |event, after| told.push((event.clone(), after.clone())));
    assert_eq!(told.len(), 4, "created, validated, paid, completed");
    told
}

pub fn life() -> Run {
    let (book, wanted) = (book(), basket());
    repeat(move || live(&book, &wanted, |_, _| {}))
}

pub fn encode() -> Run {
    let events = told();
    repeat(move || events.iter().map(|(event, after)| codec::encode(event, after).data.len()).sum::<usize>())
}

pub fn decode() -> Run {
    let stored: Vec<_> =
        told().iter().map(|(event, after)| delivered(Topic::Orders, codec::encode(event, after))).collect();
    repeat(move || {
        stored.iter().fold(None, |state, envelope| {
            let event = codec::decode(envelope).unwrap();
            evolve(order(), state, &event, envelope.occurred_at)
        })
    })
}
