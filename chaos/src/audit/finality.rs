//! I2: every accepted order is final within the time that the terms give it, counted from the end of the load; and when
//! everything is collected nothing is open any more, whatever time it might have had.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    dataset::Dataset,
    facts::{Facts, Order, RefundState, body, shown, waits},
    verdict::{Findings, Promise, Terms, wrong},
};
use crate::history::{Call, Operation};

/// Between a commit and the time in its event: both are taken before the commit ends.
const SLACK: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    accepted(facts, found);
    let Some(collected) = data.collected_at else { return };
    let ended = load_ended(facts, terms);
    for (id, order) in &facts.orders {
        late(*id, order, ended, collected, terms, found);
    }
}

/// When the load ended: as the terms say, or when the last order was placed, as far as clients saw.
pub(super) fn load_ended(facts: &Facts<'_>, terms: &Terms) -> Option<Timestamp> {
    let placed = facts.history.placed.values().flatten();
    terms.load_ended.or_else(|| placed.map(|operation| operation.ended).max())
}

/// An accepted order has events at all.
fn accepted(facts: &Facts<'_>, found: &mut Findings) {
    let placed = |operation: &&&Operation| {
        matches!(operation.call, Call::PlaceOrder { .. }) && body(operation).is_some()
    };
    for operation in facts.history.operations.iter().filter(placed) {
        if let Some(order) = shown(operation).filter(|order| !facts.orders.contains_key(order)) {
            let finding = wrong("was accepted, and there are no events of it").order(order);
            found.add(Promise::I2, finding.history([operation.id]));
        }
    }
}

fn late(
    id: Uuid,
    order: &Order,
    ended: Option<Timestamp>,
    collected: Timestamp,
    terms: &Terms,
    found: &mut Findings,
) {
    let mut add = |what: String| found.add(Promise::I2, wrong(what).order(id));
    let Some(first) = order.steps.first() else { return };
    // The later of both: the end of the load, and its own beginning.
    let since = ended.map_or(first.at, |ended| if terms.clocks_moved { ended } else { ended.max(first.at) });
    let until = due(since, terms.settle);
    if !order.is_final() {
        let age = collected.duration_since(since).as_secs();
        add(format!("is still {} {age} s after the load ended", order.status()));
        return;
    }
    if let Some(end) = order.steps.iter().find(|step| !waits(step.status))
        && !terms.clocks_moved
        && end.at > until.saturating_add(SLACK).unwrap_or(until)
    {
        let late = end.at.duration_since(since).as_secs();
        add(format!("became {} only {late} s after the load ended", end.status));
    }
    for (refund, state) in &order.refunds {
        if state.state == RefundState::Requested {
            add(format!("refund {refund} of {} has no outcome", state.amount));
        }
    }
}

fn due(since: Timestamp, settle: Duration) -> Timestamp {
    SignedDuration::try_from(settle)
        .ok()
        .and_then(|settle| since.checked_add(settle).ok())
        .unwrap_or(Timestamp::MAX)
}
