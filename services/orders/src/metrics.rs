//! Names of this service's own metrics.

/// Orders by the status they came to: `orders_total{status}`.
pub const ORDERS: &str = "orders_total";
/// Seconds from accepted to final: `order_final_seconds{status}`.
pub const FINAL_SECONDS: &str = "order_final_seconds";
/// Watchers of orders at this moment.
pub const STREAM_WATCHERS: &str = "order_stream_watchers";
