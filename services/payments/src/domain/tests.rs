//! Given what happened, when something is wanted or told, then this follows; and a model of the whole world, in which
//! answers get lost and everything is delivered again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use viscount_contracts::{Currency, Money, OrderId, RefundId, UserId};

use super::*;

fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

fn customer() -> UserId {
    UserId::from(uuid::Uuid::from_u128(7))
}

fn refund_id(n: u128) -> RefundId {
    RefundId::from(uuid::Uuid::from_u128(n))
}

fn terms(amount: i64) -> Terms {
    Terms { customer: customer(), amount: gbp(amount), token: "tok_visa".into() }
}

fn done(amount: i64) -> Answer {
    Answer::Done { reference: "ch_1".into(), amount: gbp(amount) }
}

fn declined() -> Answer {
    Answer::Refused { code: "card_declined".into(), detail: "no".into() }
}

fn processed(amount: i64) -> Event {
    Event::Processed { customer: Some(customer()), amount: gbp(amount), reference: "ch_1".into() }
}

fn pending(amount: i64) -> Event {
    Event::Pending { terms: terms(amount) }
}

fn cancel() -> Command {
    Command::Cancel { reason: "changed my mind".into() }
}

fn voided() -> Event {
    Event::Voided { reason: "changed my mind".into() }
}

fn refund(n: u128, amount: i64, answer: Option<Answer>) -> Command {
    Command::Refund { id: refund_id(n), amount: gbp(amount), answer }
}

fn refund_pending(n: u128, amount: i64) -> Event {
    Event::RefundPending { id: refund_id(n), amount: gbp(amount) }
}

fn refunded(n: u128, amount: i64) -> Event {
    Event::Refunded { id: refund_id(n), amount: gbp(amount), reference: "ch_1".into() }
}

struct Given(Payment);

fn given(events: impl IntoIterator<Item = Event>) -> Given {
    let mut payment = Payment::of(OrderId::new());
    for event in events {
        payment.evolve(&event, Timestamp::UNIX_EPOCH);
    }
    Given(payment)
}

impl Given {
    fn when(self, command: Command) -> Then {
        Then(self.0.decide(command))
    }
}

struct Then(Vec<Event>);

impl Then {
    #[track_caller]
    fn then(self, expected: impl IntoIterator<Item = Event>) {
        assert_eq!(self.0, expected.into_iter().collect::<Vec<_>>());
    }

    #[track_caller]
    fn then_refund_fails_with(self, expected: &str) {
        match self.0.as_slice() {
            [Event::RefundFailed { code, .. }] => assert_eq!(code, expected),
            other => panic!("expected one failed refund, got {other:?}"),
        }
    }
}

#[test]
fn a_validated_order_is_charged_once() {
    let fresh = given([]).0;
    assert_eq!(fresh.asks(&Intent::Charge(terms(100))), Some(Call::Charge(terms(100))));
    given([]).when(Command::Charge { terms: terms(100), answer: Some(done(100)) }).then([processed(100)]);

    let paid = given([processed(100)]).0;
    assert_eq!(paid.asks(&Intent::Charge(terms(100))), None);
    given([processed(100)]).when(Command::Charge { terms: terms(100), answer: Some(done(100)) }).then([]);
}

#[test]
fn an_unknown_outcome_is_neither_failure_nor_success() {
    let asked = Command::Charge { terms: terms(100), answer: Some(Answer::Unknown) };
    given([]).when(asked).then([pending(100)]);
    let waiting = given([pending(100)]).0;
    assert_eq!(waiting.open_calls(), [CallId::Charge]);
    for nothing in [Answer::Unknown, Answer::NeverSeen] {
        let told = Command::ChargeAnswered { customer: None, amount: None, answer: nothing };
        given([pending(100)]).when(told).then([]);
    }
    let told = Command::ChargeAnswered { customer: None, amount: None, answer: done(100) };
    given([pending(100)]).when(told).then([processed(100)]);
}

#[test]
fn an_order_cancelled_before_its_charge_is_never_charged() {
    given([]).when(cancel()).then([voided()]);
    let tombstone = given([voided()]).0;
    assert_eq!(tombstone.asks(&Intent::Charge(terms(100))), None);
    given([voided()]).when(Command::Charge { terms: terms(100), answer: None }).then([]);
}

#[test]
fn a_charge_that_crossed_the_cancellation_is_not_overlooked() {
    given([voided()])
        .when(Command::Charge { terms: terms(100), answer: Some(done(100)) })
        .then([processed(100)]);
    let crossed =
        given([voided()]).0.decide(Command::Charge { terms: terms(100), answer: Some(Answer::Unknown) });
    let after = given(std::iter::once(voided()).chain(crossed)).0;
    assert_eq!(after.asks_again(CallId::Charge), Some(Call::FindCharge), "found out, but not charged again");
}

#[test]
fn a_pending_charge_of_a_cancelled_order_is_looked_for_but_not_repeated() {
    given([pending(100)]).when(cancel()).then([Event::CancelNoted { reason: "changed my mind".into() }]);
    let noted = || given([pending(100), Event::CancelNoted { reason: String::new() }]);
    assert_eq!(noted().0.asks_again(CallId::Charge), Some(Call::FindCharge));
    noted().when(cancel()).then([]);
    noted()
        .when(Command::ChargeAnswered { customer: None, amount: None, answer: done(100) })
        .then([processed(100)]);
    assert!(matches!(noted().0.decide(Command::GiveUp)[..], [Event::Voided { .. }]));
    given([pending(100)]).when(Command::GiveUp).then([]);
}

#[test]
fn a_webhook_before_the_own_answer_settles_the_payment() {
    let webhook =
        || Command::ChargeAnswered { customer: Some(customer()), amount: Some(gbp(100)), answer: done(100) };
    given([]).when(webhook()).then([processed(100)]);
    given([pending(100)]).when(webhook()).then([processed(100)]);
    given([processed(100)]).when(webhook()).then([]);
}

#[test]
fn one_refund_id_has_its_effect_once_and_two_equal_refunds_are_two() {
    given([processed(100)]).when(refund(1, 40, Some(done(40)))).then([refunded(1, 40)]);
    let once = || given([processed(100), refunded(1, 40)]);
    assert_eq!(once().0.asks(&Intent::Refund { id: refund_id(1), amount: gbp(40) }), None);
    once().when(refund(1, 40, Some(done(40)))).then([]);
    assert!(once().0.asks(&Intent::Refund { id: refund_id(2), amount: gbp(40) }).is_some());
    once().when(refund(2, 40, Some(done(40)))).then([refunded(2, 40)]);
}

#[test]
fn never_more_than_was_captured() {
    given([processed(100), refunded(1, 60)])
        .when(refund(2, 41, None))
        .then_refund_fails_with("exceeds_captured");
    given([processed(100), refund_pending(1, 60)])
        .when(refund(2, 41, None))
        .then_refund_fails_with("exceeds_captured");
    given([processed(100)]).when(refund(2, 0, None)).then_refund_fails_with("invalid_amount");
    given([processed(100)]).when(refund(2, -5, None)).then_refund_fails_with("invalid_amount");
    let euros = Command::Refund { id: refund_id(2), amount: Money::new(1, Currency::EUR), answer: None };
    given([processed(100)]).when(euros).then_refund_fails_with("currency_mismatch");
    given([voided()]).when(refund(2, 1, None)).then_refund_fails_with("not_captured");
}

#[test]
fn a_refund_before_its_payment_is_kept_and_done_later() {
    given([]).when(refund(1, 60, None)).then([refund_pending(1, 60)]);
    let evidence = given([refund_pending(1, 60), refund_pending(2, 60)]).0;
    assert_eq!(evidence.open_calls(), []);
    let events = evidence.decide(Command::Charge { terms: terms(100), answer: Some(done(100)) });
    assert!(
        matches!(&events[..], [Event::Processed { .. }, Event::RefundFailed { id, .. }] if *id == refund_id(2))
    );
    let paid = given([refund_pending(1, 60), refund_pending(2, 60)].into_iter().chain(events)).0;
    assert_eq!(paid.open_calls(), [CallId::Refund(refund_id(1))]);

    let declined = given([refund_pending(1, 60)])
        .0
        .decide(Command::Charge { terms: terms(100), answer: Some(declined()) });
    assert!(matches!(&declined[..], [Event::Failed { .. }, Event::RefundFailed { .. }]));
}

#[test]
fn an_order_without_a_price_is_refused_without_asking() {
    assert_eq!(given([]).0.asks(&Intent::Charge(terms(0))), None);
    let events = given([]).0.decide(Command::Charge { terms: terms(0), answer: None });
    assert!(matches!(&events[..], [Event::Failed { code, .. }] if code == "invalid_amount"));
}

#[test]
fn a_charge_is_pending_until_long_after_the_cancellation() {
    let quiet = command::Quiet(std::time::Duration::from_secs(30));
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    assert!(!quiet.is_over(at(100), at(129)));
    assert!(quiet.is_over(at(100), at(130)));
    assert!(!quiet.is_over(at(100), at(50)), "a clock that went back proves nothing");
}

/// The provider as it should be: one effect per key.
#[derive(Default)]
struct Provider {
    charge: Option<Answer>,
    refunds: BTreeMap<RefundId, Answer>,
    charges_made: u32,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Answered,
    AnswerLost,
    RequestLost,
    Declined,
}

impl Provider {
    fn ask(&mut self, call: &Call, luck: Luck) -> Answer {
        if let Luck::RequestLost = luck {
            return Answer::Unknown;
        }
        let truth = match call {
            Call::FindCharge => self.charge.clone().unwrap_or(Answer::NeverSeen),
            Call::Charge(terms) => {
                let made = &mut self.charges_made;
                let charge = || match luck {
                    Luck::Declined => declined(),
                    _ => {
                        *made += 1;
                        done(terms.amount.amount())
                    }
                };
                self.charge.get_or_insert_with(charge).clone()
            }
            Call::Refund { id, amount, .. } => {
                let left = self.captured() - self.refunded();
                let refund = || match luck {
                    Luck::Declined => declined(),
                    _ if amount.amount() > left => declined(),
                    _ => done(amount.amount()),
                };
                self.refunds.entry(*id).or_insert_with(refund).clone()
            }
        };
        if let Luck::AnswerLost = luck { Answer::Unknown } else { truth }
    }

    fn captured(&self) -> i64 {
        self.charge.as_ref().map_or(0, moved)
    }

    fn refunded(&self) -> i64 {
        self.refunds.values().map(moved).sum()
    }
}

fn moved(answer: &Answer) -> i64 {
    match answer {
        Answer::Done { amount, .. } => amount.amount(),
        _ => 0,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Charge(Luck),
    Refund {
        n: u8,
        amount: i64,
        luck: Luck,
    },
    Cancel,
    Chase(Luck),
    GiveUp,
    ChargeWebhook,
    RefundWebhook(u8),
    /// The process dies between the provider's answer and the commit of the step before.
    CrashIn(Box<Step>),
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        4 => Just(Luck::Answered),
        2 => Just(Luck::AnswerLost),
        2 => Just(Luck::RequestLost),
        1 => Just(Luck::Declined),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let simple = prop_oneof![
        4 => luck().prop_map(Step::Charge),
        4 => (0u8..4, 1i64..120, luck()).prop_map(|(n, amount, luck)| Step::Refund { n, amount, luck }),
        1 => Just(Step::Cancel),
        3 => luck().prop_map(Step::Chase),
        1 => Just(Step::GiveUp),
        1 => Just(Step::ChargeWebhook),
        1 => (0u8..4).prop_map(Step::RefundWebhook),
    ];
    (simple, prop::bool::weighted(0.2)).prop_map(|(step, crash)| match crash {
        true => Step::CrashIn(Box::new(step)),
        false => step,
    })
}

/// One order's payment in a bad world.
struct World {
    payment: Payment,
    provider: Provider,
    processed: u32,
    refunded: BTreeMap<RefundId, u32>,
    cancelled_first: bool,
}

impl World {
    fn intent(&mut self, intent: Intent, luck: Luck) -> Vec<Event> {
        let answer = self.payment.asks(&intent).map(|call| self.provider.ask(&call, luck));
        self.payment.decide(intent.with(answer))
    }

    fn chase(&mut self, call: CallId, luck: Luck) -> Vec<Event> {
        let Some(question) = self.payment.asks_again(call) else { return Vec::new() };
        let answer = self.provider.ask(&question, luck);
        self.payment.decide(match call {
            CallId::Charge => Command::ChargeAnswered { customer: None, amount: None, answer },
            CallId::Refund(id) => Command::RefundAnswered { id, answer },
        })
    }

    fn events(&mut self, step: &Step) -> Vec<Event> {
        match step {
            Step::Charge(luck) => self.intent(Intent::Charge(terms(100)), *luck),
            Step::Refund { n, amount, luck } => {
                let id = refund_id(u128::from(*n));
                // One id always names one amount.
                let amount = self.payment.refund(id).map_or(gbp(*amount), |known| known.amount);
                self.intent(Intent::Refund { id, amount }, *luck)
            }
            Step::Cancel => self.payment.decide(cancel()),
            Step::Chase(luck) => match self.payment.open_calls().first() {
                Some(call) => self.chase(*call, *luck),
                None => Vec::new(),
            },
            Step::GiveUp if self.provider.charge.is_none() => self.payment.decide(Command::GiveUp),
            Step::GiveUp => Vec::new(),
            Step::ChargeWebhook => match self.provider.charge.clone() {
                Some(answer) => self.payment.decide(Command::ChargeAnswered {
                    customer: Some(customer()),
                    amount: Some(gbp(100)),
                    answer,
                }),
                None => Vec::new(),
            },
            Step::RefundWebhook(n) => match self.provider.refunds.get(&refund_id(u128::from(*n))).cloned() {
                Some(answer) => {
                    self.payment.decide(Command::RefundAnswered { id: refund_id(u128::from(*n)), answer })
                }
                None => Vec::new(),
            },
            // Nothing is committed; the event that caused it comes again before any later one.
            Step::CrashIn(step) => {
                let _ = self.events(step);
                self.events(step)
            }
        }
    }

    fn commit(&mut self, events: Vec<Event>) {
        for event in events {
            match &event {
                Event::Processed { .. } => self.processed += 1,
                Event::Refunded { id, .. } => *self.refunded.entry(*id).or_default() += 1,
                Event::Voided { .. } if self.payment.version() == 0 => self.cancelled_first = true,
                _ => {}
            }
            self.payment.evolve(&event, Timestamp::UNIX_EPOCH);
        }
    }
}

proptest! {
    /// Whatever is lost, repeated or comes in another order: one charge at most, never more returned than taken,
    /// each refund once, and in the end both sides tell the same story.
    #[test]
    fn both_sides_tell_the_same_story(steps in prop::collection::vec(step(), 0..40)) {
        let mut world = World {
            payment: Payment::of(OrderId::new()),
            provider: Provider::default(),
            processed: 0,
            refunded: BTreeMap::new(),
            cancelled_first: false,
        };
        for step in &steps {
            let version = world.payment.version();
            let events = world.events(step);
            let count = events.len() as i32;
            world.commit(events);
            prop_assert_eq!(world.payment.version(), version + count);
            prop_assert!(world.payment.refunded() <= world.payment.captured());
            prop_assert!(world.provider.charges_made <= 1);
            prop_assert!(world.processed <= 1);
            prop_assert!(world.refunded.values().all(|times| *times == 1));
            if world.cancelled_first {
                prop_assert!(world.provider.charge.is_none(), "charged after it was cancelled");
            }
        }
        // The provider is well again and every open call is asked once more.
        for _ in 0..6 {
            for call in world.payment.open_calls() {
                let events = world.chase(call, Luck::Answered);
                world.commit(events);
            }
        }
        if let Charge::Pending { cancelled, .. } = world.payment.charge() {
            prop_assert!(cancelled.is_some() && world.provider.charge.is_none());
            let events = world.payment.decide(Command::GiveUp);
            world.commit(events);
        }
        prop_assert_eq!(world.payment.open_calls(), []);
        prop_assert_eq!(world.payment.captured(), world.provider.captured());
        prop_assert_eq!(world.payment.refunded(), world.provider.refunded());
        // Told everything once more, nothing follows.
        for step in [Step::ChargeWebhook, Step::RefundWebhook(0), Step::RefundWebhook(1)] {
            prop_assert_eq!(world.events(&step), vec![]);
        }
        if *world.payment.charge() != Charge::Expected {
            prop_assert_eq!(world.events(&Step::Charge(Luck::Answered)), vec![]);
        }
    }
}
