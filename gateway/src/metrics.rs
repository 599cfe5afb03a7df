//! Names of the gateway's metrics, and their handles: rate, errors and duration by route template.
//!
//! Handles are resolved once, when the gateway starts: install the recorder first.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::refusal::Refusal;
use crate::routes::Route;

/// Counter of answers. Labels `route`, `method`, `status` (`1xx` to `5xx`).
pub const REQUESTS_TOTAL: &str = "gateway_requests_total";
/// Histogram: until the head of the answer went out. Labels `route`, `method`.
pub const REQUEST_SECONDS: &str = "gateway_request_seconds";
/// Counter of requests that the gateway itself refused. Label `reason`.
pub const REFUSED_TOTAL: &str = "gateway_refused_total";
/// Gauge of requests whose answer has not begun.
pub const IN_FLIGHT: &str = "gateway_requests_in_flight";
/// Gauge of client connections, upgraded ones included.
pub const CONNECTIONS: &str = "gateway_connections";
/// Counter of connections turned away at the limit.
pub const CONNECTIONS_REFUSED_TOTAL: &str = "gateway_connections_refused_total";
/// Gauge of upgraded connections.
pub const TUNNELS: &str = "gateway_tunnels";

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The handles of all routes.
pub(crate) struct Metrics {
    routes: Vec<RouteMetrics>,
    unmatched: RouteMetrics,
    pub(crate) in_flight: Gauge,
    pub(crate) tunnels: Gauge,
}

struct RouteMetrics {
    by_class: [Counter; CLASSES.len()],
    seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new(table: &'static [Route]) -> Self {
        Metrics {
            routes: table.iter().map(|route| RouteMetrics::new(route.path, route.method.as_str())).collect(),
            unmatched: RouteMetrics::new("unmatched", ""),
            in_flight: gauge!(IN_FLIGHT),
            tunnels: gauge!(TUNNELS),
        }
    }

    pub(crate) fn answered(&self, route: Option<usize>, status: StatusCode, took: Duration) {
        let metrics = route.and_then(|route| self.routes.get(route)).unwrap_or(&self.unmatched);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        metrics.by_class[class].increment(1);
        metrics.seconds.record(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        counter!(REFUSED_TOTAL, "reason" => refusal.label()).increment(1);
    }
}

impl RouteMetrics {
    fn new(route: &'static str, method: &'static str) -> Self {
        RouteMetrics {
            by_class: CLASSES.map(
                |class| counter!(REQUESTS_TOTAL, "route" => route, "method" => method, "status" => class),
            ),
            seconds: histogram!(REQUEST_SECONDS, "route" => route, "method" => method),
        }
    }
}

/// Counts one thing for as long as it is held.
pub(crate) struct Held(Gauge);

impl Held {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Held(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
