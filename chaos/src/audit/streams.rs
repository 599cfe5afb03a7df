//! I6: what a client saw of an order's live stream is the order's history, from the version on that it asked for, in order,
//! without a gap or a repeat, word for word; and a stream that ended because the order had settled ended there, and had shown
//! everything that was there when it began; and a stream that stays open is not mute.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    dataset::Dataset,
    facts::{Committed, Facts, Order, Step},
    verdict::{Findings, Promise, Terms, wrong},
};
use crate::history::{Frame, NOT_OPENED, Stream, StreamEnd};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    let nothing = Order::default();
    for stream in &facts.history.streams {
        let order = facts.orders.get(&stream.order).unwrap_or(&nothing);
        let mut add = |what: String, version: i64| {
            let finding = wrong(format!("stream {} after {}: {what}", stream.id, stream.after));
            let event = order.at(version).map(|step| step.event);
            found.add(Promise::I6, finding.order(stream.order).events(event).history([stream.id]));
        };
        one(data, stream, order, &facts.committed, &mut add);
        mute(stream, order, &facts.committed, terms.mute, &mut add);
    }
}

fn one(
    data: &Dataset,
    stream: &Stream,
    order: &Order,
    committed: &Committed,
    add: &mut impl FnMut(String, i64),
) {
    let after = i64::try_from(stream.after).unwrap_or(i64::MAX);
    let mut last = after;
    for frame in &stream.frames {
        let version = i64::try_from(frame.version).unwrap_or(i64::MAX);
        match version.saturating_sub(last) {
            1 => {}
            ..=0 => add(format!("version {version} came again after {last}"), version),
            _ => add(format!("version {version} came after {last}: a gap"), version),
        }
        last = last.max(version);
        match order.at(version) {
            None => add(format!("version {version} is shown, and there is no such event"), version),
            Some(step) => {
                if let Some(what) = differs(data, stream, frame, step) {
                    add(format!("version {version} {what}"), version);
                }
            }
        }
    }
    // Who asks for what is behind the end gets nothing, and has it all.
    last = last.min(i64::from(order.version()));
    if matches!(stream.end, StreamEnd::Settled | StreamEnd::Refused { status: 204 }) {
        settled(stream, order, last, committed, add);
    }
}

/// It was told that this version is the last one.
fn settled(
    stream: &Stream,
    order: &Order,
    last: i64,
    committed: &Committed,
    add: &mut impl FnMut(String, i64),
) {
    let stands = order.at(last);
    if !stands.is_some_and(|step| step.settled) {
        let status = stands.map_or("missing", |step| step.status);
        add(format!("ended as settled at version {last}, where the order is {status} and not settled"), last);
    }
    // A stream begins with the past: whatever was committed by then is told before the end.
    if let Some((there, line)) =
        committed.before(stream.begun, order).filter(|(there, _)| i64::from(there.version) > last)
    {
        let version = there.version;
        let what = format!(
            "ended as settled at version {last}, and {version} was there when it began: line {line} had shown so"
        );
        add(what, i64::from(version));
    }
}

/// Whoever watches is told of what was committed, in a while.
fn mute(
    stream: &Stream,
    order: &Order,
    committed: &Committed,
    most: Duration,
    add: &mut impl FnMut(String, i64),
) {
    let never_opened = matches!(&stream.end, StreamEnd::Broken { why } if why.starts_with(NOT_OPENED));
    if never_opened || matches!(stream.end, StreamEnd::Refused { .. }) {
        return;
    }
    let (mut since, after) = (stream.begun, i32::try_from(stream.after).unwrap_or(i32::MAX));
    for step in order.steps.iter().filter(|step| step.version > after) {
        let told = stream.frames.iter().find(|frame| i32::try_from(frame.version) == Ok(step.version));
        // An end as settled has been judged: it is no silence.
        if told.is_none() && stream.end == StreamEnd::Settled {
            return;
        }
        let (Some((there, line)), until) =
            (committed.since(step), told.map_or(stream.ended, |frame| frame.at))
        else {
            return;
        };
        let waited = until.duration_since(since.max(there));
        if waited.unsigned_abs() > most && waited.is_positive() {
            let (version, seconds) = (step.version, waited.as_secs());
            let what = format!(
                "was not told of version {version} for {seconds} s: line {line} had shown that it was there"
            );
            add(what, i64::from(version));
            return;
        }
        if told.is_none() {
            return;
        }
        since = since.max(until);
    }
}

/// What is not as the event has it.
fn differs(data: &Dataset, stream: &Stream, frame: &Frame, step: &Step) -> Option<String> {
    let kind = data.events.get(step.event).map_or("", |event| event.kind.as_ref());
    let body = &frame.body;
    if frame.event != kind || text(body, "type") != Some(kind) {
        return Some(format!("is shown as {}, and is {kind}", frame.event));
    }
    if text(body, "status") != Some(step.status) {
        return Some(format!("is shown with status {}, and led to {}", body["status"], step.status));
    }
    let id = stream.order.to_string();
    if text(body, "order_id") != Some(&id) || body["version"].as_u64() != Some(frame.version) {
        return Some(format!("is shown as version {} of order {}", body["version"], body["order_id"]));
    }
    let at = text(body, "occurred_at").and_then(|at| at.parse::<Timestamp>().ok());
    if at != Some(step.at) {
        return Some(format!("is shown at {}, and happened at {}", body["occurred_at"], step.at));
    }
    // An event that cannot be read is another promise's business.
    if !step.data.is_null() && body["data"] != step.data {
        return Some(format!("is shown with {}, and says {}", body["data"], step.data));
    }
    None
}

fn text<'a>(body: &'a Value, member: &str) -> Option<&'a str> {
    body.get(member)?.as_str()
}
