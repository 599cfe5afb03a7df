//! This service's own metrics.

use metrics::{counter, histogram};

use crate::domain::{Order, Status};

/// Orders by the status they came to: `orders_total{status}`.
pub const ORDERS: &str = "orders_total";
/// Seconds from accepted to final: `order_final_seconds{status}`.
pub const FINAL_SECONDS: &str = "order_final_seconds";
/// Watchers of orders at this moment.
pub const STREAM_WATCHERS: &str = "order_stream_watchers";

/// Counts an order that has come to another status.
pub fn came_to(before: Option<Status>, order: &Order) {
    if before == Some(order.status) {
        return;
    }
    counter!(ORDERS, "status" => order.status.name()).increment(1);
    if order.status.is_final() && before.is_none_or(|before| !before.is_final()) {
        let took = order.updated_at.duration_since(order.created_at).as_secs_f64();
        histogram!(FINAL_SECONDS, "status" => order.status.name()).record(took);
    }
}
