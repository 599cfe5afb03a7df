#![allow(clippy::unwrap_used)]

use viscount_chassis::explain::{BreakerEvidence, Parked, RelayEvidence};

use super::*;

const ORDER: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_060).unwrap()
}

fn begun() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// A service with nothing to say.
fn well(service: &'static str, topics: &[&str]) -> Told {
    let consumer = |topic: &&str| ConsumerEvidence {
        topic: format!("{topic}.events.v1"),
        partition: 0,
        lag_events: 0,
        lag_seconds: 0.0,
        parked: None,
    };
    let answer = Explanation {
        service: service.to_owned(),
        consumers: topics.iter().map(consumer).collect(),
        breakers: vec![BreakerEvidence { name: "payment_provider".into(), state: "closed".into() }],
        relay: Some(RelayEvidence { lag_events: 0, lag_seconds: 0.0, stalled: false }),
        ..Explanation::default()
    };
    Told { service, instance: Some(format!("{service}:80")), answer: Ok(answer) }
}

fn all_well() -> [Told; 3] {
    [
        well("orders", &["inventory", "payments"]),
        well("inventory", &["orders"]),
        well("payments", &["orders"]),
    ]
}

/// The kinds of causes, and where, when this is changed in what is well.
fn causes(what: What, change: impl FnOnce(&mut [&mut Explanation; 3])) -> Vec<(CauseKind, String)> {
    let mut answers = all_well();
    let [orders, inventory, payments] = &mut answers;
    let mut explanations = [orders, inventory, payments].map(|told| told.answer.as_mut().unwrap());
    change(&mut explanations);
    of(what, &answers)
}

fn of(what: What, answers: &[Told]) -> Vec<(CauseKind, String)> {
    let wait =
        WaitsFor { what, words: "", service: what.service(), since: begun(), until: None, seconds: 60.0 };
    let case = Case { order: ORDER, wait: &wait, timeline: &[], answers, own: None, now: now() };
    case.causes().into_iter().map(|cause| (cause.kind, cause.service)).collect()
}

fn is(kind: CauseKind, service: &str) -> (CauseKind, String) {
    (kind, service.to_owned())
}

fn parked(behind: i64) -> Option<Parked> {
    Some(Parked {
        since: begun(),
        error: "no".into(),
        dead_letter_id: Uuid::nil(),
        event: "OrderCreated".into(),
        behind,
        redriving: false,
    })
}

fn actor(path: &str, state: &str) -> ActorEvidence {
    ActorEvidence { path: path.to_owned(), state: state.to_owned(), last_exit: None, since: None }
}

#[test]
fn what_is_well_explains_nothing() {
    for what in [What::StockReservation, What::StockAnswer, What::Payment, What::PaymentAnswer, What::Refund]
    {
        assert_eq!(causes(what, |_| {}), [is(CauseKind::NoneFound, what.service())]);
    }
}

#[test]
fn a_service_on_the_way_that_does_not_answer_is_the_cause_and_another_is_none() {
    let mut answers = all_well();
    answers[1].answer = Err("it cannot be reached".into());
    assert_eq!(of(What::StockReservation, &answers), [is(CauseKind::ServiceDown, "inventory")]);
    assert_eq!(of(What::Payment, &answers), [is(CauseKind::NoneFound, "payments")]);
}

#[test]
fn an_event_that_was_given_up_is_told_from_one_that_waits_behind_it() {
    let at = |behind| {
        causes(What::StockReservation, |[_, inventory, _]| inventory.consumers[0].parked = parked(behind))
    };
    assert_eq!(at(0), [is(CauseKind::DeadLetter, "inventory")]);
    assert_eq!(at(2), [is(CauseKind::ParkedKey, "inventory")]);
    let elsewhere = causes(What::Payment, |[_, inventory, _]| inventory.consumers[0].parked = parked(0));
    assert_eq!(elsewhere, [is(CauseKind::NoneFound, "payments")], "not on the way");
    let others = causes(What::StockAnswer, |[orders, ..]| orders.consumers[1].parked = parked(0));
    assert_eq!(others, [is(CauseKind::NoneFound, "orders")], "another topic's letter");
}

#[test]
fn the_open_breaker_comes_before_the_outcome_that_it_made_unknown() {
    let found = causes(What::Payment, |[_, _, payments]| {
        payments.breakers[0].state = "open".into();
        payments.notes.push(Note::new("provider_unknown_outcome", "asked 3 times"));
    });
    assert_eq!(
        found,
        [is(CauseKind::BreakerOpen, "payments"), is(CauseKind::ProviderUnknownOutcome, "payments")]
    );
}

#[test]
fn a_consumer_is_behind_when_its_oldest_event_is_as_old_as_ours() {
    let lag = |seconds| {
        causes(What::StockReservation, |[_, inventory, _]| {
            inventory.consumers[0].lag_events = 7;
            inventory.consumers[0].lag_seconds = seconds;
        })
    };
    assert_eq!(lag(61.0), [is(CauseKind::ConsumerLag, "inventory")]);
    assert_eq!(lag(5.0), [is(CauseKind::NoneFound, "inventory")], "ours has passed");
}

#[test]
fn publishing_may_stall_on_the_way_there_and_on_the_way_back() {
    let stalled = Some(RelayEvidence { lag_events: 9, lag_seconds: 50.0, stalled: true });
    let there = causes(What::StockReservation, |[orders, ..]| orders.relay = stalled.clone());
    assert_eq!(there, [is(CauseKind::RelayStalled, "orders")]);
    let back = causes(What::StockReservation, |[_, inventory, _]| inventory.relay = stalled.clone());
    assert_eq!(back, [is(CauseKind::RelayStalled, "inventory")]);
    let arrived = causes(What::StockAnswer, |[orders, ..]| orders.relay = stalled);
    assert_eq!(arrived, [is(CauseKind::NoneFound, "orders")], "nothing goes out there");
}

#[test]
fn actors_count_when_they_are_on_the_way() {
    let with = |path: &str, state: &str| {
        let actor = actor(path, state);
        causes(What::StockReservation, |[_, inventory, _]| inventory.actors.push(actor)).remove(0).0
    };
    assert_eq!(with("inventory/consume-orders", "backing_off"), CauseKind::ActorBackingOff);
    assert_eq!(with("inventory/committer", "down"), CauseKind::ActorBackingOff);
    assert_eq!(with(&format!("inventory/stock/{ORDER}"), "quarantined"), CauseKind::ActorQuarantined);
    assert_eq!(with(&format!("inventory/stock/{ORDER}"), "fallen"), CauseKind::ActorBackingOff);
    assert_eq!(with("inventory/announcer", "backing_off"), CauseKind::NoneFound, "beside the way");
    assert_eq!(with("inventory/committer", "stuck"), CauseKind::ActorStuck);
    let other = format!("inventory/stock/{}", Uuid::nil());
    assert_eq!(with(&other, "quarantined"), CauseKind::NoneFound, "somebody else's");
    assert_eq!(with(&other, "stuck"), CauseKind::ActorStuck, "a product that the order may be about");
    assert_eq!(with(&format!("inventory/order/{ORDER}"), "stuck"), CauseKind::ActorStuck);
    assert_eq!(with(&format!("inventory/order/{}", Uuid::nil()), "stuck"), CauseKind::NoneFound, "another's");
    assert_eq!(with("inventory/announcer", "stuck"), CauseKind::ActorStuck, "its thread is everybody's");
}

#[test]
fn a_paid_order_waits_for_somebody_outside() {
    let found = causes(What::Fulfilment, |[orders, ..]| {
        orders.notes.push(Note::new("external_fulfilment", "").since(begun()));
    });
    assert_eq!(found, [is(CauseKind::ExternalFulfilment, "orders")]);
}
