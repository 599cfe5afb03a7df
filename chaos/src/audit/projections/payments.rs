//! Rows of payments and of refunds.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::same;
use crate::audit::{
    dataset::Dataset,
    facts::{Facts, Payment},
    verdict::{Findings, Promise, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut seen = HashSet::with_capacity(data.payments.len());
    for row in &data.payments {
        let mut add = |what: String| found.add(Promise::I7, wrong(what).order(row.order));
        seen.insert(row.order);
        let Some(payment) = facts.payments.get(&row.order) else {
            add("the payment has a row and no events".to_owned());
            continue;
        };
        let mut differing = Vec::new();
        let d = &mut differing;
        same(d, "status", row.status.as_str(), payment.status);
        same(d, "version", row.version, payment.version);
        // Taken twice is another promise's business: a row has room for the last one alone.
        let capture = payment.captures.last();
        same(d, "captured", row.captured, capture.map_or(0, |capture| capture.amount));
        same(d, "refunded", row.refunded, payment.refunded());
        if let Some(capture) = capture {
            same(d, "amount", row.amount, Some(capture.amount));
            same(d, "currency", row.currency.as_deref(), Some(&*capture.currency));
            same(d, "reference", row.reference.as_deref(), Some(&*capture.reference));
        }
        if !differing.is_empty() {
            add(format!("the payment's {}", differing.join("; ")));
        }
    }
    for id in facts.payments.keys().filter(|id| !seen.contains(id)) {
        found.add(Promise::I7, wrong("the payment has events and no row").order(*id));
    }
    refunds(data, &facts.payments, found);
}

fn refunds(data: &Dataset, payments: &HashMap<Uuid, Payment>, found: &mut Findings) {
    let mut rest: HashMap<Uuid, (Uuid, _)> = payments
        .iter()
        .flat_map(|(order, payment)| payment.refunds.iter().map(|(id, told)| (*id, (*order, told))))
        .collect();
    for row in &data.refunds {
        let mut add = |what: String| found.add(Promise::I7, wrong(what).order(row.order));
        let Some((order, told)) = rest.remove(&row.id) else {
            add(format!("refund {} has a row and no events", row.id));
            continue;
        };
        let mut differing = Vec::new();
        let d = &mut differing;
        same(d, "order", row.order, order);
        same(d, "state", row.state.as_str(), told.state);
        same(d, "amount", row.amount, told.amount);
        same(d, "currency", &row.currency, &told.currency);
        if let Some((_, _, reference)) = told.done.last() {
            same(d, "reference", row.reference.as_deref(), Some(&**reference));
        }
        if !differing.is_empty() {
            add(format!("of refund {} the {}", row.id, differing.join("; ")));
        }
    }
    for (id, (order, _)) in rest {
        found.add(Promise::I7, wrong(format!("refund {id} has events and no row")).order(order));
    }
}
