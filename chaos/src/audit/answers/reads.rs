//! What clients read is what was, and never older than what they know already.
//!
//! Reads are answered from rows of the one database that all replicas of a service share, and an answer is given after its
//! commit. So whatever any client has been told of, by any replica or by a stream, every later read shows it or something
//! newer, whoever reads; see [`Committed`](crate::audit::facts::Committed).

use crate::{
    audit::{
        facts::{Facts, body, shown, version},
        verdict::{Findings, Promise, Terms, wrong},
    },
    history::{Call, Operation, Outcome, StreamEnd},
};

pub(super) fn check(facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    for operation in &facts.history.operations {
        content(operation, facts, found);
    }
    for operation in &facts.history.operations {
        let Call::ReadOrder { order: id, buyer } = &operation.call else { continue };
        let Some(order) = facts.orders.get(id).filter(|order| order.buyer == Some(*buyer)) else { continue };
        let Some((newest, line)) = facts.committed.before(operation.begun, order) else { continue };
        let newest = newest.version;
        let what = match &operation.outcome {
            Outcome::Ok { .. } => match version(operation) {
                Some(shows) if shows < i64::from(newest) => {
                    format!("shows version {shows}, line {line} had shown that {newest} was there")
                }
                _ => continue,
            },
            Outcome::Refused { status, .. } => match kept_from(*status, terms) {
                Some(what) => format!("{what}, line {line} had shown that version {newest} was there"),
                None => continue,
            },
            Outcome::Unknown { .. } => continue,
        };
        let finding = wrong(format!("read {} {what}", operation.id));
        found.add(Promise::I8, finding.order(*id).history([operation.id, line]));
    }
    for stream in &facts.history.streams {
        let StreamEnd::Refused { status } = stream.end else { continue };
        let order = facts.orders.get(&stream.order);
        let known = order.and_then(|order| facts.committed.before(stream.begun, order));
        if let (Some((newest, line)), Some(what)) = (known, kept_from(status, terms)) {
            let what = format!(
                "stream {} {what}, line {line} had shown that version {} was there",
                stream.id, newest.version
            );
            found.add(Promise::I8, wrong(what).order(stream.order).history([stream.id, line]));
        }
    }
}

/// What must not be said to a buyer of an order that is there. Whose token counts is a matter of time.
fn kept_from(status: u16, terms: &Terms) -> Option<String> {
    match status {
        404 => Some("says that there is none".to_owned()),
        401 if terms.clocks_moved => None,
        401 | 403 => Some(format!("was refused with {status}")),
        _ => None,
    }
}

/// An order that is shown is the one that was asked for, as it was at that version.
fn content(operation: &Operation, facts: &Facts<'_>, found: &mut Findings) {
    let Some(body) = body(operation) else { return };
    let asked = match &operation.call {
        Call::ReadOrder { order, .. } | Call::Cancel { order, .. } | Call::Refund { order, .. } => {
            Some(*order)
        }
        Call::PlaceOrder { .. } => None,
        Call::CreateProduct { .. } | Call::Adjust { .. } => return,
    };
    let Some(shown) = shown(operation) else {
        let finding = wrong(format!("operation {} shows no order", operation.id)).history([operation.id]);
        found.add(Promise::I8, finding.maybe_order(asked));
        return;
    };
    let asked = asked.unwrap_or(shown);
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
