//! The names of this service's own metrics.

use metrics::counter;
use viscount_chassis::metrics::{Closed, Label};

use crate::domain::{Kind, Notice};

viscount_chassis::metrics::list! {
    RESERVATIONS_TOTAL = counter("inventory_reservations_total", [Label("outcome", "`reserved` or `rejected`")],
        "Reservations decided.");
    STOCK_OUTS_TOTAL = counter("inventory_stock_outs_total", [],
        "Reservations rejected because the stock was not enough. Other reasons there are none.");
    RESERVATIONS_ENDED_TOTAL = counter("inventory_reservations_ended_total",
        [Label("how", "`sold`, `released`, `expired` or `sale_noted`")], "Reservations that ended.");
    DECIDED_AGAIN_TOTAL = counter("inventory_decided_again_total", [Label("why", "`conflict` or `refused`")],
        "Reservations that had to be decided again.");
    HOLD_WAITS_TOTAL = counter("inventory_hold_waits_total", [],
        "Requests that waited until another one's hold was decided.");
    LOOKS_TOTAL = counter("inventory_looks_total",
        [Label("why", "`doubt`: a commit was refused, or its outcome is unknown; `shortage`: somebody is about to be refused")],
        "Times that an actor looked at the database again.");
    ADJUSTMENTS_TOTAL = counter("inventory_adjustments_total",
        [Label("reason", "`receipt`, `correction`, `damage` or `return`")], "Changes of stock by hand.");
    ANNOUNCEMENTS_TOTAL = counter("inventory_announcements_total",
        [Label("news", "`crossed`: in stock or no longer; `low`")], "News of products that were told.");
    SOLD_WITHOUT_HOLD_TOTAL = counter("inventory_sold_without_hold_total", [],
        "Orders completed whose reservation was not held any more: goods were promised that may be gone.");
}

/// Counters whose series are all known.
pub(crate) const CLOSED: &[Closed] = &[
    Closed(RESERVATIONS_TOTAL, "outcome", &["reserved", "rejected"]),
    Closed(RESERVATIONS_ENDED_TOTAL, "how", &["sold", "released", "expired", "sale_noted"]),
    Closed(DECIDED_AGAIN_TOTAL, "why", &["conflict", "refused"]),
    Closed(LOOKS_TOTAL, "why", &["doubt", "shortage"]),
    Closed(ADJUSTMENTS_TOTAL, "reason", &["receipt", "correction", "damage", "return"]),
    Closed(ANNOUNCEMENTS_TOTAL, "news", &["crossed", "low"]),
];

/// Why an actor looked at the database again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// The database had refused what it decided, or a commit's outcome is unknown.
    Doubt,
    /// Somebody is about to be refused.
    Shortage,
}

/// A reservation got its answer: `reserved` or `rejected`.
pub(crate) fn booked(outcome: &'static str) {
    counter!(RESERVATIONS_TOTAL, "outcome" => outcome).increment(1);
    if outcome == "rejected" {
        counter!(STOCK_OUTS_TOTAL).increment(1);
    }
}

/// A reservation ended.
pub(crate) fn ended(how: &'static str) {
    counter!(RESERVATIONS_ENDED_TOTAL, "how" => how).increment(1);
}

/// A reservation had to be decided again.
pub(crate) fn again(why: &'static str) {
    counter!(DECIDED_AGAIN_TOTAL, "why" => why).increment(1);
}

/// A request waited for another's hold to be decided.
pub(crate) fn waited() {
    counter!(HOLD_WAITS_TOTAL).increment(1);
}

/// An actor looked at the database again.
pub(crate) fn looked(why: Looked) {
    let why = match why {
        Looked::Doubt => "doubt",
        Looked::Shortage => "shortage",
    };
    counter!(LOOKS_TOTAL, "why" => why).increment(1);
}

/// Stock was changed by hand.
pub(crate) fn adjusted(kind: Kind) {
    counter!(ADJUSTMENTS_TOTAL, "reason" => kind.name()).increment(1);
}

/// News of a product was told.
pub(crate) fn announced(notices: &[Notice]) {
    for notice in notices {
        let news = match notice {
            Notice::Crossed(_) => "crossed",
            Notice::Low { .. } => "low",
        };
        counter!(ANNOUNCEMENTS_TOTAL, "news" => news).increment(1);
    }
}

/// An order was completed whose reservation is not held: goods were promised that may be gone.
pub(crate) fn sold_without_hold() {
    counter!(SOLD_WITHOUT_HOLD_TOTAL).increment(1);
}
