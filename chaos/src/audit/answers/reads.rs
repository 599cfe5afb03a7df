//! What clients read is what was, and never older than what they know already.
//!
//! Reads are answered from rows of the one database that all replicas of a service share, and an answer is given after its
//! commit. So whatever a client has been told of an order, by any replica or by a stream, a later read of the same client shows
//! it or something newer.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    audit::{
        facts::{Facts, body, shown, version},
        verdict::{Findings, Promise, wrong},
    },
    history::{Call, Operation, Outcome, StreamEnd},
};

/// What a client knew of an order from a moment on, and by which line of the history.
type Knowledge = HashMap<(u32, Uuid), Vec<(Timestamp, i64, u64)>>;

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    for operation in &facts.history.operations {
        content(operation, facts, found);
    }
    let known = knowledge(facts);
    for operation in &facts.history.operations {
        let Call::ReadOrder { order, .. } = &operation.call else { continue };
        let before = newest(&known, operation.client, *order, operation.begun);
        let Some((_, newest, line)) = before else { continue };
        let what = match &operation.outcome {
            Outcome::Ok { .. } => match version(operation) {
                Some(shows) if shows < newest => {
                    format!("read {} shows version {shows}, line {line} had shown {newest}", operation.id)
                }
                _ => continue,
            },
            Outcome::Refused { status: 404, .. } => {
                format!(
                    "read {} says that there is none, line {line} had shown version {newest}",
                    operation.id
                )
            }
            Outcome::Refused { .. } | Outcome::Unknown { .. } => continue,
        };
        found.add(Promise::I8, wrong(what).order(*order).history([operation.id, line]));
    }
    for stream in &facts.history.streams {
        if let Some((_, newest, line)) = newest(&known, stream.client, stream.order, stream.begun)
            && stream.end == (StreamEnd::Refused { status: 404 })
        {
            let what = format!(
                "stream {} says that there is none, line {line} had shown version {newest}",
                stream.id
            );
            found.add(Promise::I8, wrong(what).order(stream.order).history([stream.id, line]));
        }
    }
}

/// An order that is shown is the one that was asked for, as it was at that version.
fn content(operation: &Operation, facts: &Facts<'_>, found: &mut Findings) {
    let (Some(body), Some(shown)) = (body(operation), shown(operation)) else { return };
    let asked = match &operation.call {
        Call::ReadOrder { order, .. } | Call::Cancel { order, .. } | Call::Refund { order, .. } => *order,
        Call::PlaceOrder { .. } => shown,
        Call::CreateProduct { .. } | Call::Adjust { .. } => return,
    };
    let mut add = |what: String| {
        let what = format!("operation {} shows {what}", operation.id);
        found.add(Promise::I8, wrong(what).order(asked).history([operation.id]));
    };
    if asked != shown {
        add(format!("order {shown} instead"));
        return;
    }
    let told = facts.orders.get(&shown);
    let Some((order, step)) = told.and_then(|order| Some((order, order.at(version(operation)?)?))) else {
        add(format!("version {}, which is not among its events", body["version"]));
        return;
    };
    let buyer = body["customer_id"].as_str().and_then(|id| id.parse().ok());
    if body["status"].as_str() != Some(step.status)
        || body["refunded"] != order.money(step.refunded)
        || body["total"] != order.money(order.total)
        || body["lines"] != order.lines
        || buyer != order.buyer
    {
        add(format!(
            "version {} as {} with {} refunded, where its events say {} and {}",
            step.version, body["status"], body["refunded"], step.status, step.refunded
        ));
    }
}

fn knowledge(facts: &Facts<'_>) -> Knowledge {
    let mut known = Knowledge::new();
    for operation in &facts.history.operations {
        if let (Some(order), Some(version)) = (shown(operation), version(operation)) {
            known.entry((operation.client, order)).or_default().push((
                operation.ended,
                version,
                operation.id,
            ));
        }
    }
    for stream in &facts.history.streams {
        for frame in &stream.frames {
            let version = i64::try_from(frame.version).unwrap_or(0);
            known.entry((stream.client, stream.order)).or_default().push((frame.at, version, stream.id));
        }
    }
    for seen in known.values_mut() {
        seen.sort_unstable();
        // The newest by then, not what came just before.
        let mut newest = (Timestamp::MIN, 0, 0);
        for (at, version, line) in seen {
            if *version > newest.1 {
                newest = (*at, *version, *line);
            }
            (*version, *line) = (newest.1, newest.2);
        }
    }
    known
}

/// The newest version that a client knew before a moment.
fn newest(known: &Knowledge, client: u32, order: Uuid, before: Timestamp) -> Option<(Timestamp, i64, u64)> {
    let seen = known.get(&(client, order))?;
    let upto = seen.partition_point(|(at, ..)| *at < before);
    upto.checked_sub(1).and_then(|last| seen.get(last)).copied()
}
