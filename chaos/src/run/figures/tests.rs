#![allow(clippy::unwrap_used)]

use std::{borrow::Cow, time::Duration};

use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use serde_json::json;
use uuid::Uuid;
use viscount_contracts::{
    Event as _, Topic,
    events::orders::v1::{OrderCancelled, OrderCompleted, OrderCreated, OrderValidated},
};

use super::{Evidence, Happened};
use crate::{
    audit::{Dataset, Event},
    clients::{LoadFigures, Round},
    experiment::EXPECTATIONS,
    history::{Call, Frame, Line, Operation, Outcome, Second, Stream, StreamEnd},
};

/// How long the load goes on.
const LOAD: f64 = 100.0;
const DEADLINE: Duration = Duration::from_secs(20);

/// So many seconds after the load has begun.
fn at(seconds: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(seconds)
}

/// What a run has left behind.
#[derive(Default)]
struct Left {
    load: LoadFigures,
    faults: Vec<Happened>,
    data: Dataset,
    clocks_moved: bool,
}

impl Left {
    fn fault(mut self, begun: f64, ended: f64) -> Self {
        self.faults.push(Happened {
            what: "kill".to_owned(),
            begun,
            ended,
            provider_down: false,
            done: true,
        });
        self
    }

    fn asked(mut self, begun: f64, ended: f64, key: &str, outcome: Outcome) -> Self {
        let (id, key) = (self.data.history.len() as u64, key.to_owned());
        let call =
            Call::PlaceOrder { buyer: Uuid::nil(), key, lines: Vec::new(), payment_token: String::new() };
        let (begun, ended, door) = (at(begun), at(ended), String::new());
        let operation = Operation { id, client: 0, door, begun, ended, call, outcome };
        self.data.history.push(Line::Operation(operation));
        self
    }

    /// Orders that were accepted at these seconds, each at once.
    fn accepted(self, seconds: impl IntoIterator<Item = f64>) -> Self {
        seconds.into_iter().fold(self, |left, second| {
            left.asked(second, second, &format!("key-{second}"), ok(Uuid::now_v7()))
        })
    }

    fn event(mut self, order: Uuid, version: i32, kind: &'static str, seconds: f64) -> Self {
        let data = if kind == OrderCancelled::KIND {
            OrderCancelled { cancelled_by: "deadline".to_owned(), ..OrderCancelled::default() }
                .encode_to_vec()
        } else {
            Vec::new()
        };
        self.data.events.push(Event {
            service: Topic::Orders,
            position: self.data.events.len() as i64 + 1,
            stream: order,
            version,
            id: Uuid::now_v7(),
            kind: Cow::Borrowed(kind),
            at: at(seconds),
            data: data.into(),
        });
        self
    }

    /// A connection, and when each version was read from it.
    fn stream(mut self, order: Uuid, begun: f64, frames: &[(u64, f64)]) -> Self {
        let frame = |(version, seconds): &(u64, f64)| Frame {
            at: at(*seconds),
            version: *version,
            event: String::new(),
            body: json!({}),
        };
        let ended = at(frames.last().map_or(begun, |(_, seconds)| *seconds));
        self.data.history.push(Line::Stream(Stream {
            id: self.data.history.len() as u64,
            client: 0,
            order,
            after: 0,
            begun: at(begun),
            ended,
            frames: frames.iter().map(frame).collect(),
            end: StreamEnd::Settled,
        }));
        self
    }

    /// An order that waits for its payment until its deadline cancels it. Its events are those of a clock of its own.
    fn expires(self, order: Uuid, validated: f64, cancelled: f64) -> Self {
        self.event(order, 1, OrderCreated::KIND, 0.0).event(order, 2, OrderValidated::KIND, validated).event(
            order,
            3,
            OrderCancelled::KIND,
            cancelled,
        )
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            load: &self.load,
            samples: &[],
            faults: &self.faults,
            data: &self.data,
            load_began: at(0.0),
            load_ended: at(LOAD),
            clocks_moved: self.clocks_moved,
            redriven: None,
            deadline: Some(DEADLINE),
        }
    }

    fn figure(&self, name: &str) -> Option<f64> {
        self.evidence().figures().get(name).map(|figure| (figure * 1e3).round() / 1e3)
    }
}

fn ok(order: Uuid) -> Outcome {
    Outcome::Ok { status: 201, body: json!({ "id": order }), replayed: false }
}

fn unknown(status: Option<u16>, why: &str) -> Outcome {
    Outcome::Unknown { status, why: why.to_owned(), retriable: status == Some(503) }
}

fn order() -> Uuid {
    Uuid::now_v7()
}

/// Every half second, but for a pause.
fn with_a_pause(from: f64, to: f64) -> impl Iterator<Item = f64> {
    (0..200).map(|half| f64::from(half) / 2.0).filter(move |second| !(from..to).contains(second))
}

#[test]
fn a_pause_ends_with_the_next_accepted_order_however_late_that_comes() {
    let pause =
        |from, to| Left::default().fault(50.0, 52.0).accepted(with_a_pause(from, to)).figure("pause_p99_max");
    assert_eq!(pause(50.5, 53.0), Some(3.0), "within the window");
    assert_eq!(pause(50.5, 80.0), Some(30.0), "beyond it");
    assert_eq!(pause(50.5, LOAD), Some(50.0), "for good");
    assert_eq!(pause(0.0, LOAD), Some(LOAD), "nothing was ever accepted");
    let last = Left::default().fault(98.0, 99.5).accepted(with_a_pause(0.0, 0.0));
    assert_eq!(last.figure("pause_p99_max"), Some(0.5), "the load ended, and nobody asked any more");
}

#[test]
fn a_deadline_that_nobody_saw_expire_was_not_kept() {
    let nothing = Left::default().accepted([1.0]);
    assert_eq!((nothing.figure("early_expiries"), nothing.figure("late_expiries")), (None, None));
    let order = order();
    let unwatched = Left::default().asked(1.0, 1.1, "a", ok(order)).expires(order, 1.2, 21.2);
    assert_eq!((unwatched.figure("early_expiries"), unwatched.figure("late_expiries")), (None, None));
}

#[test]
fn a_wait_may_have_begun_with_the_first_try() {
    let order = order();
    let early = |cancelled: f64| {
        Left::default()
            .asked(1.0, 11.0, "a", unknown(None, "no answer in time"))
            .asked(11.1, 11.2, "a", ok(order))
            .expires(order, 1.2, cancelled)
            .stream(order, 11.2, &[(1, 11.3), (2, 11.3), (3, cancelled)])
            .figure("early_expiries")
    };
    assert_eq!(early(21.3), Some(0.0), "the answer to the first try was lost");
    assert_eq!(early(19.0), Some(1.0), "before its time in any case");
}

#[test]
fn a_wait_for_the_payment_begins_when_the_stock_is_there() {
    let order = order();
    let late = |validated: f64, cancelled: f64| {
        Left::default()
            .asked(1.0, 1.1, "a", ok(order))
            .expires(order, validated, cancelled)
            .stream(order, 1.2, &[(1, 1.2), (2, validated), (3, cancelled)])
            .figure("late_expiries")
    };
    assert_eq!(late(30.0, 50.5), Some(0.0));
    assert_eq!(late(1.3, 50.5), Some(1.0));
}

#[test]
fn what_a_stream_tells_once_more_tells_nothing_of_when() {
    let order = order();
    let broken = Left::default()
        .asked(1.0, 1.1, "a", ok(order))
        .expires(order, 1.3, 21.5)
        .stream(order, 1.2, &[(1, 1.2), (2, 1.3)])
        .stream(order, 60.0, &[(3, 60.1)]);
    assert_eq!((broken.figure("early_expiries"), broken.figure("late_expiries")), (None, None));
}

#[test]
fn what_the_rig_gave_up_is_not_what_the_platform_left_unanswered() {
    let only = |outcome| Left::default().asked(1.0, 2.0, "a", outcome).figure("only_retriable");
    assert_eq!(only(unknown(Some(503), "Service Unavailable")), Some(1.0));
    assert_eq!(only(unknown(None, "given up")), Some(1.0));
    assert_eq!(only(unknown(None, "no answer in time")), Some(0.0));
}

#[test]
fn when_all_was_final_is_told_by_the_events() {
    let order = order();
    let left = Left::default().asked(99.0, 99.1, "a", ok(order)).event(order, 3, OrderCompleted::KIND, 104.5);
    assert_eq!(left.figure("all_final_within"), Some(4.5));
}

#[test]
fn when_all_was_final_is_told_by_the_clients_where_clocks_were_moved() {
    let order = order();
    let left = Left::default().asked(99.0, 99.1, "a", ok(order)).event(order, 3, OrderCompleted::KIND, 700.0);
    let mut left = Left { clocks_moved: true, ..left };
    assert_eq!(left.figure("all_final_within"), None, "nobody saw it");
    left.load.last_final = Some(at(103.0));
    assert_eq!(left.figure("all_final_within"), Some(3.0));
    left.load.unread.push(order);
    assert_eq!(left.figure("all_final_within"), None, "nobody knows");
}

#[test]
fn expiries_that_were_seen_are_counted_and_how_far_clocks_were_moved() {
    let order = order();
    let left = Left::default().asked(1.0, 1.1, "a", ok(order)).expires(order, 601.3, 621.5).stream(
        order,
        1.2,
        &[(1, 1.2), (2, 1.3), (3, 21.5)],
    );
    let figures = ["expired_min", "early_expiries", "late_expiries", "clock_skew_min"];
    assert_eq!(figures.map(|name| left.figure(name)), [Some(1.0), Some(0.0), Some(0.0), Some(600.0)]);
}

#[test]
fn what_a_fault_did_is_counted_while_it_lasted() {
    let refused = |status| Outcome::Refused { status, problem: String::new() };
    let left = Left::default()
        .fault(10.0, 20.0)
        .asked(1.0, 5.0, "a", unknown(Some(503), "before"))
        .asked(1.0, 12.0, "b", unknown(Some(503), "told to come again"))
        .asked(1.0, 13.0, "c", unknown(None, "no answer in time"))
        .asked(1.0, 14.0, "d", refused(429))
        .asked(1.0, 15.0, "e", refused(409))
        .asked(1.0, 16.0, "f", unknown(None, "given up"))
        .asked(1.0, LOAD + 1.0, "g", refused(429));
    assert_eq!(left.figure("unanswered_during_fault_min"), Some(3.0));
    assert_eq!(left.figure("turned_away_min"), Some(3.0), "those of the load");
}

#[test]
fn a_standstill_is_one_of_a_fault() {
    let standstill = |stands: &[u32]| {
        let mut left = Left::default().fault(10.0, 20.5);
        let second =
            |second| Second { second, completed: u32::from(!stands.contains(&second)), ..Second::default() };
        left.load.seconds = (0..30).map(second).collect();
        left.figure("standstill_min")
    };
    assert_eq!(standstill(&[]), Some(0.0));
    assert_eq!(standstill(&[2, 3, 4, 5, 12, 14, 15, 16, 25]), Some(3.0));
    assert_eq!(standstill(&(0..30).collect::<Vec<_>>()), Some(10.0));
}

#[test]
fn what_a_load_came_to_is_counted() {
    let mut left = Left::default()
        .asked(1.0, 2.0, "twice", unknown(Some(503), "Service Unavailable"))
        .asked(3.0, 4.0, "twice", ok(order()))
        .asked(5.0, 6.0, "once", ok(order()))
        .asked(LOAD + 1.0, LOAD + 2.0, "when all was over", ok(order()))
        .stream(order(), 1.0, &[(1, 1.0), (2, 1.5)])
        .stream(order(), 2.0, &[(1, 2.0)]);
    let round = Round { asked: 9, answered: 9, ..Round::default() };
    let (cut, open) = (Round { answered: 8, ..round.clone() }, Round { open: 1, ..round.clone() });
    left.load = LoadFigures {
        visits: 200,
        late: 50,
        most_open_streams: 7,
        rounds: vec![round.clone(), cut, open, round],
        ..LoadFigures::default()
    };
    let figures = ["offered_min", "late_max", "open_streams_min", "frames_min", "rounds_min"];
    assert_eq!(
        figures.map(|name| left.figure(name)),
        [Some(2.0), Some(0.25), Some(7.0), Some(3.0), Some(2.0)]
    );
}

#[test]
fn every_expectation_has_a_figure() {
    let order = order();
    let mut left = Left::default().fault(10.0, 20.0).asked(1.0, 1.1, "a", ok(order));
    left.load.seconds = (0..30).map(|second| Second { second, accepted: 1, ..Second::default() }).collect();
    left.load.visits = 1;
    left = left.expires(order, 1.3, 21.5).stream(order, 1.2, &[(1, 1.2), (2, 1.3), (3, 21.5)]);
    let measured = left.evidence().figures();
    // These need samples, other faults, or a product of which too much is wanted.
    let others = [
        "p99_ratio_max",
        "each_failpoint_hit",
        "drained_within",
        "breaker_open_within",
        "probes_max",
        "redriven",
        "exactly_sold",
    ];
    let missing = EXPECTATIONS.iter().map(|known| known.name).filter(|name| !measured.contains_key(name));
    let missing: Vec<&str> = missing.filter(|name| !others.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn orders_that_were_accepted_only_after_the_load_are_not_counted() {
    let mut left = Left::default();
    left.load.accepted = 100;
    left.load.seconds = (0..3).map(|second| Second { second, accepted: 10, ..Second::default() }).collect();
    assert_eq!(left.figure("accepted_min"), Some(30.0));
}
