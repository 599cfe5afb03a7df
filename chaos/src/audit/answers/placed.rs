//! Placing an order, and the key under which it is placed.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::SignedDuration;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    audit::{
        dataset::Dataset,
        facts::{Answer, Facts, Order, body, shown},
        verdict::{Findings, Promise, wrong},
    },
    history::{Call, KEY_IN_USE, Operation, Outcome, Wanted},
};

/// For how long first answers are remembered, with a margin.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(23);
/// What a key that was used for something else is answered with, and one under which a request is being worked on.
const ANSWERS_TO_A_TAKEN_KEY: [u16; 2] = [422, 409];

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    for ((buyer, key), tries) in &facts.history.placed {
        let answer = facts.history.answers.get(&(*buyer, *key));
        let mut add = |what: String, order: Option<Uuid>| {
            let finding = wrong(format!("key {key:?} of buyer {buyer}: {what}"));
            found.add(Promise::I8, finding.maybe_order(order).history(tries.iter().map(|one| one.id)));
        };
        one_key(tries, answer, facts, &mut add);
    }
    explained(data, facts, found);
}

/// What a request asks for.
type Asked<'a> = (BTreeMap<Uuid, i64>, &'a str);

fn asked(operation: &Operation) -> Option<Asked<'_>> {
    match &operation.call {
        Call::PlaceOrder { lines, payment_token, .. } => Some((pieces(lines), payment_token)),
        _ => None,
    }
}

fn pieces(lines: &[Wanted]) -> BTreeMap<Uuid, i64> {
    let mut pieces = BTreeMap::new();
    for line in lines {
        *pieces.entry(line.product).or_default() += i64::from(line.quantity);
    }
    pieces
}

fn one_key(
    tries: &[&Operation],
    answer: Option<&Answer<'_>>,
    facts: &Facts<'_>,
    add: &mut impl FnMut(String, Option<Uuid>),
) {
    let accepted: Vec<&Operation> = tries.iter().copied().filter(|one| body(one).is_some()).collect();
    let effect = answer.and_then(|answer| answer.order);
    for one in &accepted {
        let order = shown(one);
        let Some((id, told)) = order.and_then(|id| Some((id, facts.orders.get(&id)?))) else {
            add(format!("operation {} was accepted, and there is no such order", one.id), order);
            continue;
        };
        if let Some(what) = differs(one, told) {
            add(format!("operation {} was accepted, and {what}", one.id), order);
        }
        if effect.is_some_and(|effect| effect != id) {
            add(format!("operation {} was answered with another order than {effect:?}", one.id), order);
        }
    }
    let ids: HashSet<Option<Uuid>> = accepted.iter().map(|one| shown(one)).collect();
    if ids.len() > 1 {
        add(format!("{} orders were given for it", ids.len()), accepted.first().and_then(|one| shown(one)));
    }
    same_answer(&accepted, answer, add);
    refused_again(tries, &accepted, |one, first| asked(one) == asked(first), &mut *add);
    other_bodies(tries, &accepted, effect, facts, add);
    let possible = tries.iter().any(|one| !matches!(one.outcome, Outcome::Refused { .. }));
    if !possible && let Some(effect) = effect {
        add("was refused each time, and there is an order".to_owned(), Some(effect));
    }
}

/// What is not as the answer says.
fn differs(one: &Operation, told: &Order) -> Option<String> {
    let Call::PlaceOrder { buyer, .. } = &one.call else { return None };
    let (wanted, token) = asked(one)?;
    if told.buyer != Some(*buyer) {
        return Some(format!("the order is of {:?}", told.buyer));
    }
    if told.pieces != wanted {
        return Some(format!("the order is over {:?}", told.pieces));
    }
    if told.payment_token != token {
        return Some(format!("the order is paid with {}", told.payment_token));
    }
    let body = body(one)?;
    if body["lines"] != told.lines || body["total"] != told.money(told.total) {
        return Some(format!("its answer shows {} for {}", body["lines"], body["total"]));
    }
    None
}

/// The answers of one key are the same, and the one that is remembered.
fn same_answer(
    accepted: &[&Operation],
    answer: Option<&Answer<'_>>,
    add: &mut impl FnMut(String, Option<Uuid>),
) {
    let kept = answer.and_then(|answer| {
        Some((u16::try_from(answer.row.status).ok()?, serde_json::from_str::<Value>(&answer.row.body).ok()?))
    });
    let mut first: Option<(u64, u16, &Value)> = None;
    for one in accepted {
        let Outcome::Ok { status, body, .. } = &one.outcome else { continue };
        match first {
            None => first = Some((one.id, *status, body)),
            Some((_, first_status, first)) if (first_status, first) == (*status, body) => {}
            Some((first, ..)) => {
                add(format!("operations {first} and {} were answered differently", one.id), shown(one));
            }
        }
        if kept.as_ref().is_some_and(|(kept_status, kept)| (kept_status, kept) != (status, body)) {
            add(format!("operation {}'s answer is not what is remembered", one.id), shown(one));
        }
    }
}

/// A request that was accepted once is never refused afterwards, as long as its answer is remembered. Whoever is not admitted,
/// comes too often or beside another try has to come again.
pub(super) fn refused_again(
    tries: &[&Operation],
    accepted: &[&Operation],
    same: impl Fn(&Operation, &Operation) -> bool,
    mut add: impl FnMut(String, Option<Uuid>),
) {
    let Some(first) = accepted.iter().min_by_key(|one| one.ended) else { return };
    for one in tries.iter().filter(|one| one.begun > first.ended && same(one, first)) {
        let Outcome::Refused { status, problem } = &one.outcome else { continue };
        let again = matches!(status, 401 | 408 | 425 | 429) || problem == KEY_IN_USE;
        if !again && one.begun.duration_since(first.ended) < REMEMBERED {
            add(format!("operation {} was accepted before, and refused with {status}", one.id), shown(first));
        }
    }
}

/// The same key with another body has no effect, and is told so.
fn other_bodies(
    tries: &[&Operation],
    accepted: &[&Operation],
    effect: Option<Uuid>,
    facts: &Facts<'_>,
    add: &mut impl FnMut(String, Option<Uuid>),
) {
    let effect = effect.or_else(|| accepted.first().and_then(|one| shown(one)));
    let Some((id, told)) = effect.and_then(|id| Some((id, facts.orders.get(&id)?))) else { return };
    let ours = (told.pieces.clone(), told.payment_token.as_str());
    if !tries.iter().any(|one| asked(one).as_ref() == Some(&ours)) {
        add("nobody asked for what its order is over".to_owned(), Some(id));
    }
    let first = accepted.iter().map(|one| one.ended).min();
    for one in tries.iter().filter(|one| asked(one).as_ref() != Some(&ours)) {
        let Outcome::Refused { status, .. } = one.outcome else { continue };
        // Before the first one had its effect, another body may have been refused for another reason.
        let after = first.is_some_and(|first| one.begun > first);
        let limited = matches!(status, 401 | 429);
        if after && !limited && !ANSWERS_TO_A_TAKEN_KEY.contains(&status) {
            add(format!("operation {} has another body, and was refused with {status}", one.id), Some(id));
        }
    }
}

/// Every order was asked for by its buyer, under a key that is remembered with it. The platform has no other clients than
/// those of the history, where there is one.
fn explained(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    if data.history.is_empty() {
        return;
    }
    let mut orders: HashMap<Uuid, Vec<&str>> = HashMap::new();
    for ((buyer, key), answer) in &facts.history.answers {
        let asked = facts.history.placed.contains_key(&(*buyer, *key));
        if answer.row.status == 201
            && let Some(order) = answer.order
        {
            orders.entry(order).or_default().push(key);
            let of = facts.orders.get(&order).and_then(|order| order.buyer);
            if of.is_some_and(|of| of != *buyer) {
                let what = format!("its answer is remembered for {buyer}, and it is of {of:?}");
                found.add(Promise::I8, wrong(what).order(order));
            }
            if !asked {
                let what = format!("key {key:?} of buyer {buyer} has an order, and nobody asked under it");
                found.add(Promise::I8, wrong(what).order(order));
            }
        }
    }
    for (id, order) in &facts.orders {
        let recent = order.steps.first().zip(data.collected_at);
        let remembered = recent.is_none_or(|(step, now)| now.duration_since(step.at) < REMEMBERED);
        match orders.get(id).map_or(0, Vec::len) {
            1 => {}
            0 if !remembered => {}
            0 => {
                found.add(Promise::I8, wrong("no key is remembered with it: nobody asked for it").order(*id))
            }
            keys => found.add(Promise::I8, wrong(format!("{keys} keys are remembered with it")).order(*id)),
        }
    }
}
