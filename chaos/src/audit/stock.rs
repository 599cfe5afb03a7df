//! I1: reserved + sold ≤ received, at every version; by inventory's ledger and by its events, each for itself.
//!
//! The events are replayed in the order of the log, which is the order of the commits. The ledger is replayed per product and
//! place, by the versions of the stock's rows.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{
    dataset::{Dataset, MovementRow},
    facts::Facts,
    verdict::{Findings, Promise, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    events(facts, found);
    reservations(facts, found);
    ledger(data, found);
}

/// A product as the events of the log so far have it.
#[derive(Default)]
struct Shelf {
    received: i64,
    held: i64,
    sold: i64,
}

impl Shelf {
    fn fits(&self) -> bool {
        self.held >= 0 && self.held + self.sold <= self.received
    }
}

fn events(facts: &Facts<'_>, found: &mut Findings) {
    let mut shelves: HashMap<Uuid, Shelf> = HashMap::new();
    for step in &facts.moves {
        let shelf = shelves.entry(step.product).or_default();
        let fitted = shelf.fits();
        shelf.received += step.received;
        shelf.held += step.held;
        shelf.sold += step.sold;
        // Told where it begins, not at every event from there on.
        if fitted && !shelf.fits() {
            let Shelf { received, held, sold } = shelf;
            let what = format!(
                "product {}: {held} reserved and {sold} sold of {received} received, by the events",
                step.product
            );
            found.add(Promise::I1, wrong(what).maybe_order(step.reservation).events([step.event]));
        }
    }
}

/// What was held is sold or given back once, all of it.
fn reservations(facts: &Facts<'_>, found: &mut Findings) {
    for (id, reservation) in &facts.reservations {
        let mut add = |what: String| found.add(Promise::I1, wrong(what).order(*id));
        if reservation.held.len() > 1 {
            add(format!("reserved {} times", reservation.held.len()));
        }
        if reservation.ends.len() > 1 {
            let sold = reservation.ends.iter().filter(|(_, sold, _)| *sold).count();
            add(format!(
                "its pieces left the reservation {} times, {sold} of these by a sale",
                reservation.ends.len()
            ));
        }
        let held = reservation.held.first().map(|(_, pieces)| pieces);
        for (_, sold, pieces) in &reservation.ends {
            if held != Some(pieces) {
                let how = if *sold { "sold" } else { "given back" };
                add(format!("{pieces:?} were {how} where {:?} were held", held.unwrap_or(&BTreeMap::new())));
            }
        }
    }
}

fn ledger(data: &Dataset, found: &mut Findings) {
    let mut shelves: BTreeMap<(Uuid, &str), Vec<&MovementRow>> = BTreeMap::new();
    for movement in &data.movements {
        shelves.entry((movement.product, &movement.location)).or_default().push(movement);
    }
    for ((product, location), mut movements) in shelves {
        movements.sort_by_key(|movement| (movement.version, movement.id));
        let (mut on_hand, mut reserved) = (0, 0);
        for batch in movements.chunk_by(|one, next| one.version == next.version) {
            on_hand += batch.iter().map(|movement| movement.on_hand).sum::<i64>();
            reserved += batch.iter().map(|movement| movement.reserved).sum::<i64>();
            if (0..=on_hand).contains(&reserved) {
                continue;
            }
            let version = batch.first().map_or(0, |movement| movement.version);
            let finding = wrong(format!(
                "product {product} at {location}: {reserved} reserved of {on_hand} on hand at version {version}, by the ledger"
            ));
            // The last one that took pieces is the one too many.
            let last = batch.iter().rev().find(|movement| movement.reserved > 0 || movement.on_hand < 0);
            found.add(Promise::I1, finding.maybe_order(last.and_then(|movement| movement.reservation)));
            break;
        }
    }
}
