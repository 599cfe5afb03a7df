//! What is no violation, though it looks like one: where an answer is unknown both are allowed, and where a relay was harmed an
//! event may be on its topic twice.
#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;
use uuid::Uuid;
use viscount_contracts::{Topic, events::orders::v1::OrderCompleted};

use super::{bed::*, good};
use crate::{
    audit::{Dataset, Promise, Terms, check},
    history::{Call, Line, Operation, Outcome, StreamEnd},
};

fn is_clean(change: impl FnOnce(&mut Dataset) -> Option<()>) {
    let mut data = good().unwrap();
    assert!(change(&mut data).is_some(), "the set has no room for it");
    let violations = check(&data, &Terms::default());
    assert!(violations.is_empty(), "{}", violations[0]);
}

fn unknown() -> Outcome {
    Outcome::Unknown { status: None, why: "cut off".to_owned(), retriable: false }
}

/// Nobody knows what came of these.
fn forget_answers(data: &mut Dataset, is: impl Fn(&Call) -> bool) -> Option<()> {
    let mut any = None;
    for line in &mut data.history {
        if let Line::Operation(operation) = line
            && is(&operation.call)
        {
            operation.outcome = unknown();
            any = Some(());
        }
    }
    any
}

#[test]
fn an_unknown_answer_may_have_had_its_effect() {
    is_clean(|data| forget_answers(data, |call| matches!(call, Call::PlaceOrder { .. })));
    is_clean(|data| forget_answers(data, |call| matches!(call, Call::Cancel { .. })));
    is_clean(|data| forget_answers(data, |call| matches!(call, Call::Refund { .. })));
    is_clean(|data| forget_answers(data, |call| matches!(call, Call::Adjust { .. })));
}

#[test]
fn an_unknown_answer_may_have_had_no_effect() {
    is_clean(|data| {
        let mut more: Operation = accepted(data)?.0.clone();
        (more.id, more.outcome) = (1_000_000, unknown());
        if let Call::PlaceOrder { key, .. } = &mut more.call {
            *key = "never arrived".to_owned();
        }
        data.history.push(Line::Operation(more));
        Some(())
    });
}

#[test]
fn one_refusal_among_tries_of_a_key_is_no_broken_answer() {
    is_clean(|data| {
        let (one, _) = accepted(data)?;
        let mut more = one.clone();
        (more.id, more.outcome) = (1_000_000, refused(409));
        data.history.push(Line::Operation(more));
        Some(())
    });
}

#[test]
fn a_relay_that_was_harmed_may_publish_twice() {
    is_clean(|data| {
        let done = data.events.get(first::<OrderCompleted>(data)?)?.id;
        let mut double = data.records.iter().find(|record| record.id == Some(done))?.clone();
        double.offset = 1_000_000;
        data.records.push(double);
        Some(())
    });
}

#[test]
fn what_an_experiment_injected_is_its_own_affair() {
    is_clean(|data| {
        let mut injected = data.records.first()?.clone();
        (injected.offset, injected.partition, injected.injected) = (1_000_000, 0, true);
        (injected.key, injected.id) = (None, None);
        data.records.push(injected);
        Some(())
    });
}

#[test]
fn what_was_committed_between_the_two_looks_is_no_stray() {
    is_clean(|data| {
        let log = data.logs.iter_mut().find(|log| log.service == Topic::Coordination)?;
        log.head_after += 1;
        let position = Some(log.head_after);
        let mut later = data.records.iter().find(|record| record.topic == Topic::Coordination)?.clone();
        (later.position, later.id, later.offset) = (position, Some(Uuid::from_u128(7)), 1_000_000);
        data.records.push(later);
        Some(())
    });
}

#[test]
fn a_stream_may_break_anywhere() {
    is_clean(|data| {
        let stream = stream(data, 3)?;
        stream.frames.truncate(1);
        stream.end = StreamEnd::Broken { why: "cut".to_owned() };
        Some(())
    });
}

#[test]
fn a_stream_may_be_asked_for_what_comes_behind_the_newest_version() {
    is_clean(|data| {
        let rejected = order(data, "rejected")?;
        let stream = stream(data, 1)?;
        (stream.order, stream.after, stream.end) = (rejected, 90, StreamEnd::Settled);
        stream.frames.clear();
        Some(())
    });
}

#[test]
fn an_order_may_take_as_long_as_it_has_time() {
    let mut data = good().unwrap();
    let done = first::<OrderCompleted>(&data).unwrap();
    let ended = data.collected_at.unwrap();
    data.events[done].at = ended + SignedDuration::from_secs(30);
    data.collected_at = Some(ended + SignedDuration::from_secs(40));
    let late = |settle| {
        let settle = std::time::Duration::from_secs(settle);
        let terms = Terms { load_ended: Some(ended), settle, ..Terms::default() };
        check(&data, &terms).iter().any(|found| found.promise == Promise::I2)
    };
    assert!(!late(35));
    assert!(late(20));
}

#[test]
fn who_publishes_after_somebody_else_may_do_so_twice() {
    let mut data = good().unwrap();
    let done = data.events[first::<OrderCompleted>(&data).unwrap()].id;
    let mut double = data.records.iter().find(|record| record.id == Some(done)).unwrap().clone();
    double.offset = 1_000_000;
    data.records.push(double);
    let terms = Terms { doubles: false, ..Terms::default() };
    assert_eq!(check(&data, &terms).len(), 1);
    let log = data.logs.iter_mut().find(|log| log.service == Topic::Orders).unwrap();
    log.epoch = Some(2);
    assert_eq!(check(&data, &terms), []);
}

#[test]
fn what_an_experiment_has_put_in_may_be_set_aside() {
    let mut data = good().unwrap();
    data.letters.push(letter(Uuid::from_u128(7), None));
    assert!(check(&data, &Terms { letters: true, ..Terms::default() }).is_empty());
    assert!(!check(&data, &Terms::default()).is_empty());
}

#[test]
fn an_order_that_was_called_off_at_once_has_inventorys_note_alone() {
    let mut data = good().unwrap();
    let order = order(&data, "cancelled").unwrap();
    let says_nothing = |data: &Dataset| {
        check(data, &Terms::default())
            .iter()
            .any(|found| found.order == Some(order) && found.what.contains("inventory says nothing of it"))
    };
    forget(&mut data, Topic::Inventory, order);
    let row = data.reservations.iter_mut().find(|row| row.id == order).unwrap();
    (row.version, row.state) = (0, "sale_noted".to_owned());
    assert!(says_nothing(&data));
    data.reservations.iter_mut().find(|row| row.id == order).unwrap().state = "released".to_owned();
    assert!(!says_nothing(&data));
}
