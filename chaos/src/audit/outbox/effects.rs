//! What one service told has had its effect at another: each order that has come to rest has the reservation and the payment
//! that its end asks for.

use std::collections::HashSet;

use uuid::Uuid;

use crate::audit::{
    dataset::Dataset,
    facts::{Facts, Order},
    verdict::{Findings, Promise, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    // Ends of which inventory heard before it had anything to end: rows without an event.
    let noted: HashSet<Uuid> = data
        .reservations
        .iter()
        .filter(|row| (row.state.as_str(), row.version) == ("released", 0))
        .map(|row| row.id)
        .collect();
    for (id, order) in facts.orders.iter().filter(|(_, order)| order.is_settled()) {
        let mut add = |what: String| found.add(Promise::I4, wrong(what).order(*id));
        stock(*id, order, facts, &noted, &mut add);
        payment(*id, order, facts, &mut add);
    }
    for (id, reservation) in &facts.reservations {
        if reservation.of_order && !facts.orders.contains_key(id) {
            let what = format!("its reservation is {}, and there is no such order", reservation.state);
            found.add(Promise::I4, wrong(what).order(*id));
        }
    }
}

fn stock(id: Uuid, order: &Order, facts: &Facts<'_>, noted: &HashSet<Uuid>, add: &mut impl FnMut(String)) {
    let Some(reservation) = facts.reservations.get(&id) else {
        // Called off before inventory heard of it: it then never holds anything, and keeps a note.
        if order.status() != "cancelled" || !noted.contains(&id) {
            add(format!("is {}, and inventory says nothing of it", order.status()));
        }
        return;
    };
    let short = order.reason.as_ref().is_some_and(|reason| reason["code"] == "insufficient_stock");
    let right = match order.status() {
        _ if order.is_delivered() => reservation.state == "sold",
        "rejected" if short => reservation.state == "rejected",
        _ => matches!(reservation.state, "released" | "rejected"),
    };
    if !right {
        add(format!("is {}, and its reservation is {}", order.status(), reservation.state));
    }
    if let Some((_, held)) = reservation.held.first().filter(|(_, held)| *held != order.pieces) {
        add(format!("ordered are {:?}, its reservation is over {held:?}", order.pieces));
    }
}

fn payment(id: Uuid, order: &Order, facts: &Facts<'_>, add: &mut impl FnMut(String)) {
    let status = facts.payments.get(&id).map_or("missing", |payment| payment.status);
    let declined = order.reason.as_ref().is_some_and(|reason| reason["code"] == "payment_declined");
    let right = match order.status() {
        _ if order.is_delivered() => status == "captured",
        "rejected" if declined => status == "failed",
        // Payments were never asked.
        "rejected" => status == "missing",
        // Whatever came first; what was taken goes back, which is another promise.
        _ => matches!(status, "voided" | "failed" | "captured" | "pending"),
    };
    if !right {
        add(format!("is {}, and its payment is {status}", order.status()));
    }
}
