//! Orders that their deadline has cancelled: before its time, and long after it, by the clock of the clients.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::{
    Event as _, Topic,
    events::orders::v1::{OrderCancelled, OrderValidated},
};

use super::Evidence;
use crate::history::{Call, Frame, Outcome, Stream};

/// So much later than its time a deadline may be kept.
const LATE: f64 = 15.0;
/// So much earlier clocks of two processes on one machine may see it.
const EARLY: f64 = 1.0;
/// A connection that is not open after ten seconds is given up: so long after it was asked for it tells what happens.
const OPENED: f64 = 12.0;
/// What had happened before is told in one go.
const REPLAYED: f64 = 1.0;
/// Of an order that was asked for so lately nothing old can be told.
const YOUNG: f64 = 5.0;

/// Orders that their deadline has cancelled while a client looked on.
#[derive(Default)]
pub(super) struct Expiries {
    pub seen: f64,
    pub early: f64,
    /// `None` while of none of them it was seen since when it had waited.
    pub late: Option<f64>,
}

/// When an order was asked for first, and when its buyer knew that it was accepted.
struct Placed {
    asked: Timestamp,
    accepted: Timestamp,
}

impl Evidence<'_> {
    /// An order may have waited since it was asked for first, whoever heard of that; for its payment it waits since its
    /// stock was there. `None` while nobody saw one expire.
    pub(super) fn expiries(&self) -> Option<Expiries> {
        let deadline = self.deadline?.as_secs_f64();
        let placed = self.placed();
        let seen = self.seen(&placed);
        let versions = |wanted: &'static str| {
            let events = self.data.events.iter().filter(move |event| event.service == Topic::Orders);
            events.filter(move |event| event.kind == wanted)
        };
        let validated: BTreeMap<Uuid, i32> =
            versions(OrderValidated::KIND).map(|event| (event.stream, event.version)).collect();
        let by_deadline = versions(OrderCancelled::KIND).filter(|event| {
            <OrderCancelled as prost::Message>::decode(&event.data[..])
                .is_ok_and(|cancelled| cancelled.cancelled_by == "deadline")
        });
        let mut expiries = Expiries::default();
        for event in by_deadline {
            let (order, at) = (event.stream, seen.get(&(event.stream, i64::from(event.version))));
            let (Some(placed), Some(at)) = (placed.get(&order), at) else { continue };
            let since = |begin: Timestamp| at.duration_since(begin).as_secs_f64();
            expiries.seen += 1.0;
            expiries.early += f64::from(u32::from(since(placed.asked) + EARLY < deadline));
            let waits = match validated.get(&order) {
                Some(version) => seen.get(&(order, i64::from(*version))).copied(),
                None => Some(placed.accepted),
            };
            if let Some(waits) = waits {
                *expiries.late.get_or_insert(0.0) += f64::from(u32::from(since(waits) > deadline + LATE));
            }
        }
        (expiries.seen > 0.0).then_some(expiries)
    }

    /// The farthest that an event's own time lies from when a client saw it happen.
    pub(super) fn clock_skew(&self) -> Option<f64> {
        let seen = self.seen(&self.placed());
        let events = self.data.events.iter().filter(|event| event.service == Topic::Orders);
        let skews = events.filter_map(|event| {
            let at = seen.get(&(event.stream, i64::from(event.version)))?;
            Some(at.duration_since(event.at).as_secs_f64().abs())
        });
        skews.max_by(f64::total_cmp)
    }

    fn placed(&self) -> BTreeMap<Uuid, Placed> {
        let mut asked: BTreeMap<(Uuid, &str), Timestamp> = BTreeMap::new();
        for operation in self.operations() {
            if let Call::PlaceOrder { buyer, key, .. } = &operation.call {
                let first = asked.entry((*buyer, key)).or_insert(operation.begun);
                *first = (*first).min(operation.begun);
            }
        }
        let mut placed = BTreeMap::new();
        for operation in self.operations() {
            if let (Call::PlaceOrder { buyer, key, .. }, Outcome::Ok { body, .. }) =
                (&operation.call, &operation.outcome)
                && let Some(order) = body["id"].as_str().and_then(|id| id.parse().ok())
                && let Some(asked) = asked.get(&(*buyer, key.as_str()))
            {
                let accepted = operation.ended;
                let known = placed.entry(order).or_insert(Placed { asked: *asked, accepted });
                known.accepted = known.accepted.min(accepted);
            }
        }
        placed
    }

    /// When a version was first seen by somebody who was there when it happened.
    fn seen(&self, placed: &BTreeMap<Uuid, Placed>) -> BTreeMap<(Uuid, i64), Timestamp> {
        let mut seen = BTreeMap::new();
        for stream in self.streams() {
            let Some(placed) = placed.get(&stream.order) else { continue };
            for frame in stream.frames.iter().filter(|frame| is_live(stream, frame, placed.asked)) {
                let version = i64::try_from(frame.version).unwrap_or(i64::MAX);
                let first = seen.entry((stream.order, version)).or_insert(frame.at);
                *first = (*first).min(frame.at);
            }
        }
        seen
    }
}

/// Whether a message can only be of something that has just happened.
fn is_live(stream: &Stream, frame: &Frame, asked: Timestamp) -> bool {
    let after = |begin: Timestamp| frame.at.duration_since(begin).as_secs_f64();
    after(stream.begun) >= OPENED
        || stream.frames.first().is_some_and(|first| after(first.at) >= REPLAYED)
        || after(asked) <= YOUNG
}
