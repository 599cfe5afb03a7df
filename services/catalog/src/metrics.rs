//! The names of this service's own metrics.

use viscount_chassis::metrics::{Closed, Label};

viscount_chassis::metrics::list! {
    CHANGES = counter("catalog_changes_total",
        [Label("change", "`created`, `updated`, `price_changed`, `archived` or `sold_out`")], "Changes of products.");
    SEARCHES = counter("catalog_searches_total", [Label("mode", "`exact`, `corrected` or `any`: how the words had to be taken")],
        "Searches, each counted with its first page.");
}

/// Counters whose series are all known.
pub(crate) const CLOSED: &[Closed] = &[
    Closed(CHANGES, "change", &["created", "updated", "price_changed", "archived", "sold_out"]),
    Closed(SEARCHES, "mode", &["exact", "corrected", "any"]),
];
