//! The provider's own books: each charge and each refund once, none that payments do not know, and none that only they know.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::audit::{
    dataset::{ChargeRow, Dataset},
    facts::{Facts, Payment},
    finality::load_ended,
    verdict::{Findings, Promise, Terms, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    keys(data, found);
    // A question that is open yet, by what it asks for and its key: the provider may know more than payments.
    let open: HashSet<(&str, String)> =
        data.open_calls.iter().map(|call| (call.kind.as_str(), call.key.to_string())).collect();
    let mut charges: BTreeMap<Uuid, Vec<&ChargeRow>> = BTreeMap::new();
    for charge in data.charges.iter().filter(|charge| charge.taken) {
        match order_of_charge(charge) {
            Some(order) => charges.entry(order).or_default().push(charge),
            None => {
                let what = format!(
                    "the provider took {} under the key {:?}, for no order",
                    charge.amount, charge.key
                );
                found.add(Promise::I3, wrong(what));
            }
        }
    }
    let nothing = Payment::default();
    for (order, charges) in &charges {
        let mut add = |what: String| found.add(Promise::I3, wrong(what).order(*order));
        if charges.len() > 1 {
            add(format!("the provider took its money {} times", charges.len()));
        }
        let payment = facts.payments.get(order).unwrap_or(&nothing);
        for charge in charges {
            taken(charge, payment, open.contains(&("charge", charge.key.clone())), &mut add);
        }
    }
    for (order, payment) in &facts.payments {
        if payment.captured() > 0 && !charges.contains_key(order) {
            let what = format!("payments took {}, of which the provider knows nothing", payment.captured());
            found.add(Promise::I3, wrong(what).order(*order));
        }
    }
    returned(data, facts, &open, found);
    questions(data, facts, terms, found);
}

/// One idempotency key, one charge or refund.
fn keys(data: &Dataset, found: &mut Findings) {
    let mut seen = HashSet::new();
    let charges = data.charges.iter().map(|charge| ("charge", &charge.key));
    for (what, key) in charges.chain(data.returns.iter().map(|refund| ("refund", &refund.key))) {
        if !seen.insert((what, key)) {
            let finding = wrong(format!("the provider has {what} {key} more than once"));
            found.add(Promise::I3, finding.maybe_order(id(key).filter(|_| what == "charge")));
        }
    }
}

fn taken(charge: &ChargeRow, payment: &Payment, open: bool, add: &mut impl FnMut(String)) {
    let reference = format!("ch_{:016x}", charge.sequence);
    let told = payment.captures.iter().find(|capture| capture.reference == reference);
    match told {
        None if open => {}
        None => add(format!("the provider took {} ({reference}), which payments do not know", charge.amount)),
        Some(capture) if (capture.amount, &capture.currency) != (charge.amount, &charge.currency) => {
            add(format!(
                "the provider took {} {}, payments say {} {}",
                charge.amount, charge.currency, capture.amount, capture.currency
            ))
        }
        Some(_) => {}
    }
}

/// A refund that payments say was done.
struct Done<'a> {
    order: Uuid,
    event: usize,
    money: (i64, &'a str),
    reference: &'a str,
}

/// Every refund at the provider is one that payments did, and the other way round.
fn returned(data: &Dataset, facts: &Facts<'_>, open: &HashSet<(&str, String)>, found: &mut Findings) {
    let charges: HashMap<i64, &ChargeRow> =
        data.charges.iter().map(|charge| (charge.sequence, charge)).collect();
    let mut sums: HashMap<i64, i64> = HashMap::new();
    let mut done: HashMap<Uuid, Done<'_>> = HashMap::new();
    for (order, payment) in &facts.payments {
        for (refund, said) in &payment.refunds {
            for (event, amount, reference) in &said.done {
                let money = (*amount, said.currency.as_str());
                done.insert(*refund, Done { order: *order, event: *event, money, reference });
            }
        }
    }
    for refund in &data.returns {
        *sums.entry(refund.charge).or_default() += refund.amount;
        let order = charges.get(&refund.charge).and_then(|charge| order_of_charge(charge));
        let key = key_of_refund(&refund.key);
        let known = id(key).and_then(|id| done.remove(&id));
        let money = (refund.amount, refund.currency.as_str());
        let reference = format!("re_{:016x}", refund.sequence);
        let what = match known {
            None if open.contains(&("refund", key.to_owned())) => continue,
            None => {
                format!("the provider returned {} ({reference}), which payments do not know", refund.amount)
            }
            Some(said) if (Some(said.order), said.money, said.reference) == (order, money, &reference) => {
                continue;
            }
            Some(said) => format!(
                "the provider returned {money:?} as {reference} of {order:?}, payments say {:?} as {} of {}",
                said.money, said.reference, said.order
            ),
        };
        found.add(Promise::I3, wrong(what).maybe_order(order));
    }
    for (refund, Done { order, event, money: (amount, _), .. }) in done {
        let what =
            format!("payments returned {amount} by refund {refund}, of which the provider knows nothing");
        found.add(Promise::I3, wrong(what).order(order).events([event]));
    }
    for charge in &data.charges {
        let sum = sums.get(&charge.sequence).copied().unwrap_or(0);
        if sum != charge.returned || sum > charge.amount {
            let what = format!(
                "the provider says {} of {} returned, its refunds come to {sum}",
                charge.returned, charge.amount
            );
            found.add(Promise::I3, wrong(what).maybe_order(order_of_charge(charge)));
        }
    }
}

/// The order that a charge is for: the one that it names, else its key is the order's id.
fn order_of_charge(charge: &ChargeRow) -> Option<Uuid> {
    charge.order.as_deref().and_then(id).or_else(|| id(&charge.key))
}

/// The id that a text in somebody's books is.
/// The refund's id: its key has a prefix, so that it is never a charge's.
fn key_of_refund(key: &str) -> &str {
    key.strip_prefix("refund-").unwrap_or(key)
}

fn id(text: &str) -> Option<Uuid> {
    text.parse().ok()
}

/// When everything is collected, the provider has answered all that it was asked.
fn questions(data: &Dataset, facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    let Some(now) = data.collected_at else { return };
    let ended = load_ended(facts, terms);
    for call in &data.open_calls {
        let since = ended.map_or(call.opened_at, |ended| ended.max(call.opened_at));
        let age = now.duration_since(since);
        let what = format!("the provider has not answered its {} for {} s", call.kind, age.as_secs());
        found.add(Promise::I3, wrong(what).order(call.order));
    }
}
