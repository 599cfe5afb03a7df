//! Names of this service's own metrics.

/// Changes of products by what they were: `catalog_changes_total{change}`.
pub const CHANGES: &str = "catalog_changes_total";
/// Searches by how their words had to be taken: `catalog_searches_total{mode}`.
pub const SEARCHES: &str = "catalog_searches_total";
