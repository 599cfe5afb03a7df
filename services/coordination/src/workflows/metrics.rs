//! Names of this module's metrics.

/// Histogram: how many events were taken in together.
pub const BATCH_EVENTS: &str = "workflows_batch_size";
/// Histogram, seconds: how long that took.
pub const BATCH_SECONDS: &str = "workflows_batch_seconds";
