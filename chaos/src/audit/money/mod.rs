//! I3: one capture for each paid order; captured − refunded as the order says; every book agrees with every other.
//!
//! Four books tell of the same money: the orders' events, the payments' events, the payments' ledger, and the provider's own.

mod ledger;
mod provider;

use super::{
    dataset::Dataset,
    facts::{Facts, Order, Payment},
    verdict::{Findings, Promise, Terms, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    let nothing = Payment::default();
    for (id, order) in &facts.orders {
        let payment = facts.payments.get(id).unwrap_or(&nothing);
        let mut add = |what: String| found.add(Promise::I3, wrong(what).order(*id));
        own(order, &mut add);
        lines(order, &mut add);
        taken(order, payment, &mut add);
        returned(order, payment, &mut add);
    }
    for (id, payment) in facts.payments.iter().filter(|(id, _)| !facts.orders.contains_key(id)) {
        if payment.captured() > 0 {
            let what = format!("payments took {} for it, and there is no such order", payment.captured());
            found.add(Promise::I3, wrong(what).order(*id));
        }
    }
    ledger::check(data, facts, found);
    provider::check(data, facts, terms, found);
}

/// What an order says of its own money.
fn own(order: &Order, add: &mut impl FnMut(String)) {
    if order.captures.len() > 1 || order.noted.len() > 1 {
        add(format!(
            "was paid {} times, and {} payments were noted",
            order.captures.len(),
            order.noted.len()
        ));
    }
    let (captured, refunded) = (order.captured(), order.refunded());
    if refunded > captured {
        add(format!("{refunded} returned of {captured} taken"));
    }
    for (refund, state) in &order.refunds {
        if state.done.len() > 1 {
            add(format!("refund {refund} was done {} times", state.done.len()));
        }
    }
    if order.is_delivered() {
        if (order.captures.len(), captured) != (1, order.total) {
            add(format!(
                "is {}, costs {}, and {captured} were taken in {} payments",
                order.status(),
                order.total,
                order.captures.len()
            ));
        }
    } else if order.is_settled() && captured != refunded {
        add(format!("is {}, {captured} were taken and only {refunded} returned", order.status()));
    }
    if order.is_delivered() && order.is_settled() {
        let says = match refunded {
            0 => "completed",
            some if some == captured => "refunded",
            _ => "partially_refunded",
        };
        if order.status() != says {
            add(format!("is {} with {captured} taken and {refunded} returned", order.status()));
        }
    }
}

/// An order costs what its lines cost, and a line what its pieces cost; all in one currency.
fn lines(order: &Order, add: &mut impl FnMut(String)) {
    let mut sum = 0;
    for line in order.lines.as_array().into_iter().flatten() {
        let amount = |of: &str| line[of]["amount"].as_i64().unwrap_or_default();
        let (quantity, each, total) =
            (line["quantity"].as_i64().unwrap_or_default(), amount("unit_price"), amount("line_total"));
        if each.checked_mul(quantity) != Some(total) {
            add(format!("a line of it costs {total}, for {quantity} pieces at {each}"));
        }
        for of in ["unit_price", "line_total"] {
            if line[of]["currency"] != order.currency.as_str() {
                add(format!("ordered in {}, a line of it is in {}", order.currency, line[of]["currency"]));
            }
        }
        sum += total;
    }
    if sum != order.total {
        add(format!("costs {}, its lines come to {sum}", order.total));
    }
    if !order.strange.is_empty() {
        add(format!("ordered in {}, paid or returned in {:?}", order.currency, order.strange));
    }
}

/// What orders and payments say of the capture.
fn taken(order: &Order, payment: &Payment, add: &mut impl FnMut(String)) {
    if payment.captures.len() > 1 {
        add(format!("payments took its money {} times", payment.captures.len()));
    }
    if order.is_settled() && payment.captured() != order.captured() {
        add(format!("its events say {} taken, payments say {}", order.captured(), payment.captured()));
    }
    for capture in payment.captures.iter().filter(|capture| capture.currency != order.currency) {
        add(format!("ordered in {}, paid in {}", order.currency, capture.currency));
    }
}

/// What orders and payments say of each refund.
fn returned(order: &Order, payment: &Payment, add: &mut impl FnMut(String)) {
    for (refund, said) in &payment.refunds {
        if said.done.len() > 1 {
            add(format!("payments did refund {refund} {} times", said.done.len()));
        }
        if said.currency != order.currency {
            add(format!("ordered in {}, refund {refund} is returned in {}", order.currency, said.currency));
        }
        if !order.refunds.contains_key(refund) {
            add(format!("payments know refund {refund} of {}, which the order never asked for", said.amount));
        }
    }
    if !order.is_settled() {
        return;
    }
    for (refund, state) in &order.refunds {
        let told = |sums: &mut dyn Iterator<Item = i64>| sums.sum::<i64>();
        let by_order = told(&mut state.done.iter().map(|(_, amount)| *amount));
        let by_payments = payment
            .refunds
            .get(refund)
            .map_or(0, |said| told(&mut said.done.iter().map(|(_, amount, _)| *amount)));
        if by_order != by_payments {
            add(format!("refund {refund}: its events say {by_order} returned, payments say {by_payments}"));
        }
        if by_order != 0 && by_order != state.amount {
            add(format!("refund {refund}: {} were asked for, {by_order} returned", state.amount));
        }
    }
}
