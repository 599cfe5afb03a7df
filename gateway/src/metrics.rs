//! Names of the gateway's metrics, and their handles: rate, errors and duration by route template.
//!
//! Handles are resolved once, when the gateway starts: install the recorder first.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use viscount_chassis::metrics::{Closed, Label, list};
use viscount_chassis::telemetry::metrics::Exemplars;

use crate::refusal::Refusal;
use crate::routes::Route;

const ROUTE: Label = Label("route", "the template of a route, or `unmatched`; never a path");
const METHOD: Label = Label("method", "the method of the route; empty with `unmatched`");

list! {
    REQUESTS_TOTAL = counter("gateway_requests_total", [ROUTE, METHOD, Label("status", "`1xx` to `5xx`")],
        "Requests answered, by the gateway itself or by a service.");
    REQUEST_SECONDS = histogram("gateway_request_seconds", [ROUTE, METHOD],
        "From the head of a request until the head of its answer went out. With exemplars.");
    REFUSED_TOTAL = counter("gateway_refused_total", [Label("reason",
        "`unknown_path`, `method`, `unauthenticated`, `forbidden`, `rate_limited`, `upstream_unavailable`, …: one for each refusal that there is")],
        "Requests that the gateway itself refused.");
    IN_FLIGHT = gauge("gateway_requests_in_flight", [], "Requests whose answer has not begun.");
    CONNECTIONS = gauge("gateway_connections", [], "Client connections, upgraded ones included.");
    CONNECTIONS_REFUSED_TOTAL = counter("gateway_connections_refused_total", [],
        "Connections turned away at the limit.");
    TUNNELS = gauge("gateway_tunnels", [], "Upgraded connections.");
}

/// Counters whose series are all known.
pub(crate) const CLOSED: &[Closed] = &[Closed(REFUSED_TOTAL, "reason", &Refusal::LABELS)];

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
    exemplars: Exemplars,
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

    pub(crate) fn answered(
        &self,
        route: Option<usize>,
        status: StatusCode,
        took: Duration,
        trace: Option<u128>,
    ) {
        let metrics = route.and_then(|route| self.routes.get(route)).unwrap_or(&self.unmatched);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        metrics.by_class[class].increment(1);
        metrics.seconds.record(took.as_secs_f64());
        metrics.exemplars.note(took.as_secs_f64(), trace);
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
            exemplars: Exemplars::of(REQUEST_SECONDS, &[("route", route), ("method", method)]),
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
