//! Rows of stock, the ledger of movements, and reservations.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use super::same;
use crate::audit::{
    dataset::{Dataset, ReservationRow},
    facts::Facts,
    verdict::{Findings, Promise, wrong},
};

/// Pieces on hand and reserved.
type Balance = (i64, i64);

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    stock(data, facts, found);
    movements(data, facts, found);
    reservations(data, facts, found);
}

/// The stock is the sum of its movements, place by place; and of the events, over all places.
fn stock(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut rows: BTreeMap<(Uuid, &str), Balance> = BTreeMap::new();
    let mut products: BTreeMap<Uuid, Balance> = BTreeMap::new();
    for row in &data.stock {
        rows.insert((row.product, &row.location), (row.on_hand, row.reserved));
        add(products.entry(row.product).or_default(), row.on_hand, row.reserved);
    }
    let mut moved: BTreeMap<(Uuid, &str), Balance> = BTreeMap::new();
    for movement in &data.movements {
        let of = moved.entry((movement.product, &movement.location)).or_default();
        add(of, movement.on_hand, movement.reserved);
    }
    let mut told: BTreeMap<Uuid, Balance> = BTreeMap::new();
    for step in &facts.moves {
        add(told.entry(step.product).or_default(), step.received - step.sold, step.held);
    }
    for (of, row) in differing(rows, moved) {
        let what = format!(
            "product {} at {}: (on hand, reserved) is {:?} in the row, {:?} by its movements",
            of.0, of.1, row.0, row.1
        );
        found.add(Promise::I7, wrong(what));
    }
    for (product, row) in differing(products, told) {
        let what = format!(
            "product {product}: (on hand, reserved) is {:?} in the rows, {:?} by the events",
            row.0, row.1
        );
        found.add(Promise::I7, wrong(what));
    }
}

/// What each reservation, and each product by hand, has moved is what its events say.
fn movements(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut rows: BTreeMap<(Option<Uuid>, Uuid), Balance> = BTreeMap::new();
    for movement in &data.movements {
        let of = rows.entry((movement.reservation, movement.product)).or_default();
        add(of, movement.on_hand, movement.reserved);
    }
    let mut told: BTreeMap<(Option<Uuid>, Uuid), Balance> = BTreeMap::new();
    for step in &facts.moves {
        let of = told.entry((step.reservation, step.product)).or_default();
        add(of, step.received - step.sold, step.held);
    }
    for ((reservation, product), (row, told)) in differing(rows, told) {
        let what = format!(
            "product {product}: the movements come to {row:?} on hand and reserved, the events to {told:?}"
        );
        found.add(Promise::I7, wrong(what).maybe_order(reservation));
    }
}

fn reservations(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    let mut seen = HashSet::with_capacity(data.reservations.len());
    for row in &data.reservations {
        seen.insert(row.id);
        let differing = match facts.reservations.get(&row.id) {
            Some(told) => {
                let mut differing = Vec::new();
                same(&mut differing, "state", row.state.as_str(), told.state);
                same(&mut differing, "version", row.version, told.version);
                same(&mut differing, "owner is an order", row.of_order, told.of_order);
                let held = told.held.first().map(|(_, pieces)| pieces.clone()).unwrap_or_default();
                same(&mut differing, "pieces", pieces(row), held);
                differing
            }
            // Only its end was heard: evidence, of which there is no event.
            None if row.version == 0
                && matches!(row.state.as_str(), "released" | "expired" | "sale_noted") =>
            {
                continue;
            }
            None => vec![format!("row says {} v{}, and it has no events", row.state, row.version)],
        };
        if !differing.is_empty() {
            let what = format!("the reservation's {}", differing.join("; "));
            found.add(Promise::I7, wrong(what).order(row.id));
        }
    }
    for id in facts.reservations.keys().filter(|id| !seen.contains(id)) {
        found.add(Promise::I7, wrong("the reservation has events and no row").order(*id));
    }
}

fn pieces(row: &ReservationRow) -> BTreeMap<Uuid, i64> {
    let mut pieces = BTreeMap::new();
    for (product, quantity) in row.products.iter().zip(&row.quantities) {
        *pieces.entry(*product).or_default() += i64::from(*quantity);
    }
    pieces
}

fn add(balance: &mut Balance, on_hand: i64, reserved: i64) {
    balance.0 += on_hand;
    balance.1 += reserved;
}

/// What is not the same on both sides; what is missing on one is nothing.
fn differing<K: Ord + Clone>(
    one: BTreeMap<K, Balance>,
    mut other: BTreeMap<K, Balance>,
) -> Vec<(K, (Balance, Balance))> {
    let mut differing = Vec::new();
    for (key, left) in one {
        let right = other.remove(&key).unwrap_or_default();
        if left != right {
            differing.push((key, (left, right)));
        }
    }
    let rest = other.into_iter().filter(|(_, right)| *right != (0, 0));
    differing.extend(rest.map(|(key, right)| (key, ((0, 0), right))));
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_nothing() {
        let one = BTreeMap::from([('a', (1, 0)), ('b', (2, 1)), ('z', (0, 0))]);
        let other = BTreeMap::from([('b', (2, 1)), ('c', (0, 3)), ('d', (0, 0))]);
        assert_eq!(differing(one, other), [('a', ((1, 0), (0, 0))), ('c', ((0, 0), (0, 3)))]);
    }
}
