//! Who audits the auditor: a good data set, recorded from a real run, in which it must find nothing; and then one thing wrong
//! at a time, planted, which it must find under the right promise, by the right words, and at the right order.
//!
//! The set is `chaos/testdata/good.jsonl.gz`; how it was made is told beside it.

#[cfg(test)]
mod allowed;
mod bed;
mod plants;

use std::fmt;

use uuid::Uuid;

use crate::audit::{self, Dataset, FileError, Promise, Terms, Violation};

/// The recorded set.
static GOOD: &[u8] = include_bytes!("../../testdata/good.jsonl.gz");

/// Something wrong, to be planted.
struct Plant {
    /// The promise that it breaks.
    promise: Promise,
    /// What it is.
    name: &'static str,
    /// What the auditor must say of it, in part.
    says: &'static str,
    /// What the audit is held to.
    terms: fn(&mut Terms),
    /// Plants it, and tells the order that it is about. `None` when the set has no room for it.
    plant: fn(&mut Dataset) -> Option<Where>,
}

/// What a plant is about.
enum Where {
    /// An order.
    Order(Uuid),
    /// No order in particular.
    Nowhere,
}

/// What became of a plant.
#[derive(Debug)]
pub struct Planted {
    /// The promise that it breaks.
    pub promise: Promise,
    /// What was planted.
    pub name: &'static str,
    /// The violation by which it was found.
    pub found: Option<Violation>,
    /// How many violations there were in all: one wrong thing may break several promises.
    pub violations: usize,
}

/// What came of a selftest.
#[derive(Debug)]
pub struct Selftest {
    /// What was found in the good set: nothing, if all is well.
    pub good: Vec<Violation>,
    /// Every plant.
    pub plants: Vec<Planted>,
}

impl Selftest {
    /// True when nothing was found where nothing was wrong, and everything that was planted was found.
    pub fn passed(&self) -> bool {
        self.good.is_empty() && self.plants.iter().all(|plant| plant.found.is_some())
    }
}

/// The good data set.
pub fn good() -> Result<Dataset, FileError> {
    Dataset::read_from(GOOD)
}

/// Plants every kind of violation in the good data set, one at a time, and sees whether it is found.
pub fn selftest() -> Result<Selftest, FileError> {
    let good = good()?;
    let plants = plants::all().map(|plant| planted(plant, good.clone())).collect();
    Ok(Selftest { good: audit::check(&good, &Terms::default()), plants })
}

fn planted(plant: &Plant, mut data: Dataset) -> Planted {
    let Plant { promise, name, says, terms: held_to, plant } = plant;
    let mut terms = Terms::default();
    held_to(&mut terms);
    let planted = plant(&mut data);
    let violations = if planted.is_some() { audit::check(&data, &terms) } else { Vec::new() };
    let is_it = |found: &Violation| {
        let there = match planted {
            Some(Where::Order(order)) => found.order == Some(order),
            Some(Where::Nowhere) => true,
            None => false,
        };
        there && found.promise == *promise && found.what.contains(says)
    };
    let found = violations.iter().find(|found| is_it(found)).cloned();
    Planted { promise: *promise, name, found, violations: violations.len() }
}

impl fmt::Display for Selftest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.good {
            writeln!(f, "✗ the good set: {violation}")?;
        }
        for Planted { promise, name, found, violations } in &self.plants {
            match found {
                Some(found) => {
                    let what = found.what.chars().take(90).collect::<String>();
                    writeln!(f, "✓ {promise} {name:<58} {what}")?;
                }
                None => writeln!(f, "✗ {promise} {name:<58} not found ({violations} others)")?,
            }
        }
        let found = self.plants.iter().filter(|plant| plant.found.is_some()).count();
        write!(
            f,
            "{found} of {} planted violations found, {} violations in the good set",
            self.plants.len(),
            self.good.len()
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::LazyLock;

    use super::*;

    /// Once for all tests.
    static SELFTEST: LazyLock<Selftest> = LazyLock::new(|| selftest().unwrap());

    #[test]
    fn nothing_is_found_in_the_good_set_and_every_plant_is_found() {
        assert!(SELFTEST.passed(), "{}", *SELFTEST);
    }

    #[test]
    fn every_promise_has_two_plants_and_more() {
        for promise in Promise::ALL {
            let plants = plants::all().filter(|plant| plant.promise == promise).count();
            assert!(plants >= 2, "{promise}: {plants}");
        }
    }

    #[test]
    fn the_good_set_has_something_of_everything() {
        let data = good().unwrap();
        assert!(!data.records.is_empty() && !data.returns.is_empty() && !data.keys.is_empty());
        assert!(data.orders.len() > 100);
        for status in ["completed", "rejected", "cancelled", "refunded", "partially_refunded"] {
            assert!(data.orders.iter().any(|order| order.status == status), "{status}");
        }
    }

    #[test]
    fn what_is_found_names_the_order_its_events_and_the_history() {
        let named = SELFTEST.plants.iter().filter_map(|plant| plant.found.as_ref());
        let named = named
            .filter(|found| found.order.is_some() && !found.events.is_empty() && !found.history.is_empty());
        assert!(named.count() > 30);
    }

    #[test]
    fn a_data_set_survives_being_written() {
        let (mut data, mut file) = (good().unwrap(), Vec::new());
        let settle = std::time::Duration::from_secs(7);
        data.terms = Some(Terms { settle, load_ended: data.collected_at, letters: true, ..Terms::default() });
        data.write_to(&mut file, flate2::Compression::fast()).unwrap();
        assert_eq!(Dataset::read_from(file.as_slice()).unwrap(), data);
    }
}
