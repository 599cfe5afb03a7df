//! The names of this service's own metrics.

use metrics::counter;

use crate::domain::{Kind, Notice};

/// Why an actor looked at the database again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// The database had refused what it decided, or a commit's outcome is unknown.
    Doubt,
    /// Somebody is about to be refused.
    Shortage,
}

/// A reservation got its answer: `reserved` or `rejected`.
pub(crate) fn booked(outcome: &'static str) {
    counter!("inventory_reservations_total", "outcome" => outcome).increment(1);
}

/// A reservation ended.
pub(crate) fn ended(how: &'static str) {
    counter!("inventory_reservations_ended_total", "how" => how).increment(1);
}

/// A reservation had to be decided again.
pub(crate) fn again(why: &'static str) {
    counter!("inventory_decided_again_total", "why" => why).increment(1);
}

/// A request waited for another's hold to be decided.
pub(crate) fn waited() {
    counter!("inventory_hold_waits_total").increment(1);
}

/// An actor looked at the database again.
pub(crate) fn looked(why: Looked) {
    let why = match why {
        Looked::Doubt => "doubt",
        Looked::Shortage => "shortage",
    };
    counter!("inventory_looks_total", "why" => why).increment(1);
}

/// Stock was changed by hand.
pub(crate) fn adjusted(kind: Kind) {
    counter!("inventory_adjustments_total", "reason" => kind.name()).increment(1);
}

/// News of a product was told.
pub(crate) fn announced(notices: &[Notice]) {
    for notice in notices {
        let news = match notice {
            Notice::Crossed(_) => "crossed",
            Notice::Low { .. } => "low",
        };
        counter!("inventory_announcements_total", "news" => news).increment(1);
    }
}

/// An order was completed whose reservation is not held: goods were promised that may be gone.
pub(crate) fn sold_without_hold() {
    counter!("inventory_sold_without_hold_total").increment(1);
}
