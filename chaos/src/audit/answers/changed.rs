//! Calling orders off, returning money, making products, and changing stock.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;
use viscount_contracts::Topic;

use super::placed::refused_again;
use crate::{
    audit::{
        dataset::Dataset,
        facts::{Facts, Order, body, shown, version},
        verdict::{Findings, Promise, wrong},
    },
    history::{Call, Operation, Outcome},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let buyers: HashSet<Uuid> = facts.history.placed.keys().map(|(buyer, _)| *buyer).collect();
    let ours = |order: &Order| order.buyer.is_some_and(|buyer| buyers.contains(&buyer));
    for (id, order) in facts.orders.iter().filter(|(_, order)| ours(order)) {
        cancelled(*id, order, facts, found);
    }
    refunds(facts, &ours, found);
    adjusted(data, facts, found);
    brought(facts, found);
    made(facts, found);
}

fn was_refused(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Refused { .. })
}

fn cancelled(id: Uuid, order: &Order, facts: &Facts<'_>, found: &mut Findings) {
    let tries = facts.history.cancels.get(&id).map(Vec::as_slice).unwrap_or_default();
    for one in tries.iter().filter(|one| body(one).is_some()) {
        let shows = version(one).and_then(|version| order.at(version));
        let when = order.cancelled.first().and_then(|(event, _)| {
            order.steps.iter().find(|step| step.event == *event).map(|step| step.version)
        });
        let there = shows.zip(when).is_some_and(|(shows, when)| when <= shows.version);
        if !there {
            let what =
                format!("operation {} was told that it is cancelled, and it is {}", one.id, order.status());
            found.add(Promise::I8, wrong(what).order(id).history([one.id]));
        }
    }
    let by_buyer = order.cancelled.iter().find(|(_, by)| by == "customer");
    if let Some((event, _)) = by_buyer
        && tries.iter().all(|one| was_refused(one))
    {
        let what = match tries.len() {
            0 => "the buyer cancelled it, and nobody asked for that".to_owned(),
            tries => format!("the buyer cancelled it, and was refused each of {tries} times"),
        };
        found.add(Promise::I8, wrong(what).order(id).events([*event]));
    }
}

fn refunds(facts: &Facts<'_>, ours: &impl Fn(&Order) -> bool, found: &mut Findings) {
    // Refunds that somebody asked for, by the event's place: each is one key's.
    let mut claimed: HashMap<usize, &str> = HashMap::new();
    let mut uncertain: HashMap<Uuid, usize> = HashMap::new();
    for ((buyer, key), tries) in &facts.history.refunds {
        let lines = || tries.iter().map(|one| one.id);
        let answer = facts.history.answers.get(&(*buyer, *key));
        let Some(Call::Refund { order: id, .. }) = tries.first().map(|one| &one.call) else { continue };
        let mut add = |what: String| {
            let what = format!("refund under key {key:?}: {what}");
            found.add(Promise::I8, wrong(what).order(*id).history(lines()));
        };
        let accepted: Vec<&Operation> = tries.iter().copied().filter(|one| body(one).is_some()).collect();
        let bodies: Vec<_> = accepted.iter().filter_map(|one| body(one)).collect();
        if bodies.windows(2).any(|pair| pair[0] != pair[1]) {
            add("was answered differently when it was repeated".to_owned());
        }
        refused_again(tries, &accepted, |one, first| one.call == first.call, |what, _| add(what));
        if answer.is_some() && tries.iter().all(|one| was_refused(one)) {
            add("was refused each time, and an answer is remembered".to_owned());
        }
        let Some(order) = facts.orders.get(id) else { continue };
        match accepted.first() {
            Some(one) if shown(one) == Some(*id) => {
                let event = version(one).and_then(|version| order.at(version)).map(|step| step.event);
                let asked = order.refunds.values().find(|refund| Some(refund.asked_by) == event);
                let wanted = match one.call {
                    Call::Refund { amount, .. } => amount,
                    _ => None,
                };
                match asked {
                    Some(refund) if wanted.unwrap_or(refund.left) == refund.amount => {
                        if let Some(other) = claimed.insert(refund.asked_by, key) {
                            add(format!("it is the refund of key {other:?} as well"));
                        }
                    }
                    Some(refund) => {
                        let wanted = wanted.map_or_else(
                            || format!("all that was left, {}", refund.left),
                            |wanted| wanted.to_string(),
                        );
                        add(format!("{wanted} was accepted, {} is returned", refund.amount));
                    }
                    None => add("was accepted, and no event asks for it".to_owned()),
                }
            }
            Some(_) => add("was answered with another order".to_owned()),
            None if tries.iter().any(|one| !was_refused(one)) => *uncertain.entry(*id).or_default() += 1,
            None => {}
        }
    }
    for (id, order) in facts.orders.iter().filter(|(_, order)| ours(order)) {
        // The refund that an order asks for by itself carries its own id.
        let unclaimed: Vec<usize> = order
            .refunds
            .iter()
            .filter(|(refund, asked)| *refund != id && !claimed.contains_key(&asked.asked_by))
            .map(|(_, asked)| asked.asked_by)
            .collect();
        if unclaimed.len() > uncertain.get(id).copied().unwrap_or(0) {
            let what = format!("{} refunds that nobody was promised", unclaimed.len());
            found.add(Promise::I8, wrong(what).order(*id).events(unclaimed));
        }
    }
}

/// Stock that was brought by a client of the history: by the key that inventory remembers with it.
fn adjusted(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    for row in data.keys.iter().filter(|row| row.service == Topic::Inventory) {
        *kept.entry(&row.key).or_default() += 1;
    }
    for (key, tries) in &facts.history.adjusted {
        let good: Vec<&Operation> = tries.iter().copied().filter(|one| body(one).is_some()).collect();
        refused_again(
            tries,
            &good,
            |one, first| one.call == first.call,
            |what, _| {
                let finding = wrong(format!("adjustment under key {key:?}: {what}"));
                found.add(Promise::I8, finding.history(tries.iter().map(|one| one.id)));
            },
        );
        let times = kept.get(key).copied().unwrap_or(0);
        let accepted = tries.iter().any(|one| body(one).is_some());
        let refused = tries.iter().all(|one| was_refused(one));
        let what = match times {
            0 if accepted => "was accepted, and inventory does not know of it",
            1.. if refused => "was refused, and had its effect",
            2.. => "had its effect more than once",
            _ => continue,
        };
        let finding = wrong(format!("adjustment under key {key:?} {what}"));
        found.add(Promise::I8, finding.history(tries.iter().map(|one| one.id)));
    }
}

/// What came of a product's stock is what clients have brought, each time as much; what nobody knows the answer of may have
/// come or not. Only of products that the history tells of: others were there before it.
fn brought(facts: &Facts<'_>, found: &mut Findings) {
    #[derive(Default)]
    struct Brought {
        /// Each accepted key's pieces.
        accepted: Vec<i64>,
        /// Those of keys without an answer.
        perhaps: Vec<i64>,
        lines: Vec<u64>,
    }
    let mut products: BTreeMap<Uuid, Brought> = BTreeMap::new();
    for made in facts.history.operations.iter().filter(|one| matches!(one.call, Call::CreateProduct { .. })) {
        if let Some(product) = shown(made) {
            products.entry(product).or_default().lines.push(made.id);
        }
    }
    for tries in facts.history.adjusted.values() {
        let Some(Call::Adjust { product, delta, .. }) = tries.first().map(|one| &one.call) else { continue };
        let of = products.entry(*product).or_default();
        of.lines.extend(tries.iter().map(|one| one.id));
        if tries.iter().any(|one| body(one).is_some()) {
            of.accepted.push(*delta);
        } else if !tries.iter().all(|one| was_refused(one)) {
            of.perhaps.push(*delta);
        }
    }
    for (product, Brought { accepted, mut perhaps, lines }) in products {
        let came = facts.moves.iter().filter(|step| step.product == product && step.received != 0);
        let mut came: Vec<(i64, usize)> = came.map(|step| (step.received, step.event)).collect();
        let mut add = |what: String, event: Option<usize>| {
            let finding = wrong(format!("product {product}: {what}"));
            found.add(Promise::I8, finding.events(event).history(lines.iter().copied()));
        };
        for delta in accepted {
            match came.iter().position(|(pieces, _)| *pieces == delta) {
                Some(at) => drop(came.swap_remove(at)),
                None => add(format!("{delta} pieces were accepted, and no event tells of it"), None),
            }
        }
        for (pieces, event) in came {
            match perhaps.iter().position(|delta| *delta == pieces) {
                Some(at) => drop(perhaps.swap_remove(at)),
                None => add(format!("{pieces} pieces came that nobody has brought"), Some(event)),
            }
        }
    }
}

/// A product that was accepted is there, one for each key.
fn made(facts: &Facts<'_>, found: &mut Findings) {
    let mut known: HashMap<&str, Uuid> = HashMap::new();
    for one in &facts.history.operations {
        let (Call::CreateProduct { sku, key }, Some(_)) = (&one.call, body(one)) else { continue };
        let product = shown(one);
        let told = product.and_then(|product| facts.products.get(&product));
        let what = match (product, told) {
            (_, None) => "was accepted, and there is no such product".to_owned(),
            (_, Some(told)) if told.sku != *sku => format!("was accepted, and the product is {}", told.sku),
            (Some(product), Some(_)) => match known.insert(key, product) {
                Some(other) if other != product => format!("has made {product}, and {other} before"),
                _ => continue,
            },
            (None, Some(_)) => continue,
        };
        found.add(Promise::I8, wrong(format!("product under key {key:?} {what}")).history([one.id]));
    }
}
