//! I7: all events, replayed from the first, give the projections that the services answer from.
//!
//! The fold is in [`super::facts`], written from the events' documentation. Here every row is compared with it, and every
//! entity that has events has its row.

mod catalog;
mod inventory;
mod orders;
mod payments;

use std::fmt::Debug;

use super::{
    dataset::Dataset,
    facts::Facts,
    verdict::{Findings, Promise, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    for (at, problem) in &facts.unreadable {
        if let Some(event) = data.events.get(*at) {
            let what = format!("event {} cannot be replayed: {problem}", event.id);
            found.add(Promise::I7, wrong(what).order(event.stream).events([*at]));
        }
    }
    orders::check(data, facts, found);
    inventory::check(data, facts, found);
    payments::check(data, facts, found);
    catalog::check(data, facts, found);
}

/// Notes a column that is not what the events say.
fn same<T: PartialEq + Debug>(differing: &mut Vec<String>, column: &str, row: T, told: T) {
    if row != told {
        differing.push(format!("{column} is {row:?} in the row, {told:?} by the events"));
    }
}
