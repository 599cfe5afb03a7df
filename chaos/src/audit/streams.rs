//! I6: what a client saw of an order's live stream is the order's history, from the version on that it asked for, in order,
//! without a gap or a repeat, word for word; and a stream that ended because the order had settled ended there.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    dataset::Dataset,
    facts::{Facts, Order, Step},
    verdict::{Findings, Promise, wrong},
};
use crate::history::{Frame, Stream, StreamEnd};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let nothing = Order::default();
    for stream in &facts.history.streams {
        let order = facts.orders.get(&stream.order).unwrap_or(&nothing);
        let mut add = |what: String, version: i64| {
            let finding = wrong(format!("stream {} after {}: {what}", stream.id, stream.after));
            let event = order.at(version).map(|step| step.event);
            found.add(Promise::I6, finding.order(stream.order).events(event).history([stream.id]));
        };
        one(data, stream, order, &mut add);
    }
}

fn one(data: &Dataset, stream: &Stream, order: &Order, add: &mut impl FnMut(String, i64)) {
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
    let settled = matches!(stream.end, StreamEnd::Settled | StreamEnd::Refused { status: 204 });
    // Who asks for what is behind the end gets nothing, and has it all.
    last = last.min(i64::from(order.version()));
    // Whoever asks for what comes behind the newest version is told of nothing, and where the order stands.
    let nothing = if stream.frames.is_empty() { order.steps.last() } else { None };
    let stands = order.at(last).or(nothing);
    if settled && !stands.is_some_and(|step| step.settled) {
        let status = stands.map_or("missing", |step| step.status);
        add(format!("ended as settled at version {last}, where the order is {status} and not settled"), last);
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
