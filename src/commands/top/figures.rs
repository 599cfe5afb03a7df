//! The figures of the platform: sums over its processes of what their metrics say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    exposition::Sample,
    rates::{Histogram, Process},
};

/// The families that are read; everything else of an exposition is passed over.
pub const WANTED: &[&str] = &[
    "actor_escalations_total",
    "actor_mailbox_rejected_total",
    "actor_quarantined",
    "actor_restart_budget_remaining",
    "actor_restarts_total",
    "actor_stuck_total",
    "consumer_dead_letters_open",
    "consumer_lag_events",
    "consumer_lag_seconds",
    "consumer_parked_keys",
    "faults_injected_total",
    "gateway_request_seconds_bucket",
    "gateway_requests_total",
    "http_request_seconds_bucket",
    "http_requests_total",
    "order_final_seconds_bucket",
    "orders_open",
    "orders_stuck",
    "orders_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "relay_lag_events",
    "relay_lag_seconds",
    "resilience_breaker_state",
];

/// Routes that only tell how things are. Those who look are not the load.
fn is_load(sample: &Sample) -> bool {
    let route = sample.label("route");
    !matches!(route, "/livez" | "/readyz" | "/metrics" | "/openapi.json") && !route.starts_with("/v1/ops/")
}

/// Requests of one service, or of the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Requests {
    /// Answered per second.
    pub per_second: f64,
    /// The share of them that was answered with 5xx; absent without requests.
    pub error_share: Option<f64>,
    /// Until the answer's head, in seconds; absent without requests.
    pub p99_seconds: Option<f64>,
}

/// Orders.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Orders {
    /// Accepted per second.
    pub created_per_second: f64,
    /// Come to `completed` per second.
    pub completed_per_second: f64,
    /// Come to `cancelled` or `rejected` per second.
    pub failed_per_second: f64,
    /// From accepted to final, in seconds; absent when none became final.
    pub p99_final_seconds: Option<f64>,
    /// Waiting, all statuses together; absent where nobody says.
    pub open: Option<f64>,
    /// Waiting for too long; absent where nobody says.
    pub stuck: Option<f64>,
}

/// What the processes use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Resources {
    /// How many there are.
    pub processes: usize,
    /// Cores.
    pub cpu: f64,
    /// Resident memory in bytes.
    pub memory_bytes: f64,
}

/// What the processes say, added up.
pub struct Sums<'a>(pub Vec<&'a Process>);

impl Sums<'_> {
    /// The increase per second of the series that fit.
    pub fn rate(&self, name: &str, fits: impl Fn(&Sample) -> bool) -> f64 {
        // The sum of nothing is -0.0.
        self.rates(name).filter(|(sample, _)| fits(sample)).map(|(_, rate)| rate).sum::<f64>() + 0.0
    }

    fn rates<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a Sample, f64)> {
        self.0.iter().flat_map(move |process| process.rates(name)).collect::<Vec<_>>().into_iter()
    }

    /// The present series of this name.
    pub fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().flat_map(move |process| process.now().exposition.samples(name))
    }

    /// The sum of the present values; `None` when nobody has such a series.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let mut values = self.series(name).map(|sample| sample.value).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// The largest value for each value of these labels. Replicas that report the same thing count once.
    pub fn largest(&self, name: &str, labels: &[&str]) -> BTreeMap<Vec<String>, f64> {
        let mut found = BTreeMap::new();
        for sample in self.series(name) {
            let key = labels.iter().map(|label| sample.label(label).to_owned()).collect();
            let known = found.entry(key).or_insert(sample.value);
            *known = known.max(sample.value);
        }
        found
    }

    fn quantile(&self, buckets: &str, fits: impl Fn(&Sample) -> bool) -> Option<f64> {
        let mut histogram = Histogram::default();
        for (sample, rate) in self.rates(buckets).filter(|(sample, _)| fits(sample)) {
            histogram.add(sample, rate);
        }
        histogram.quantile(0.99)
    }

    /// Requests at the gateway.
    pub fn requests(&self) -> Requests {
        self.requests_of("gateway", is_load)
    }

    /// Requests at this service.
    pub fn requests_at(&self, service: &str) -> Requests {
        match service {
            "gateway" => self.requests(),
            _ => self.requests_of("http", |sample| sample.label("service") == service && is_load(sample)),
        }
    }

    fn requests_of(&self, of: &str, fits: impl Fn(&Sample) -> bool) -> Requests {
        let total = format!("{of}_requests_total");
        let per_second = self.rate(&total, &fits);
        // The gateway has classes (`5xx`), the services have codes.
        let errors = self.rate(&total, |sample| fits(sample) && sample.label("status").starts_with('5'));
        let p99_seconds = self.quantile(&format!("{of}_request_seconds_bucket"), fits);
        Requests { per_second, error_share: (per_second > 0.0).then(|| errors / per_second), p99_seconds }
    }

    /// Orders.
    pub fn orders(&self) -> Orders {
        let came_to = |status: &str| self.rate("orders_total", |sample| sample.label("status") == status);
        Orders {
            created_per_second: came_to("created"),
            completed_per_second: came_to("completed"),
            failed_per_second: came_to("cancelled") + came_to("rejected"),
            p99_final_seconds: self.quantile("order_final_seconds_bucket", |_| true),
            // Each replica counts in the same database.
            open: self.of_the_database("orders_open"),
            stuck: self.of_the_database("orders_stuck"),
        }
    }

    fn of_the_database(&self, name: &str) -> Option<f64> {
        let by_status = self.largest(name, &["status"]);
        (!by_status.is_empty()).then(|| by_status.values().sum())
    }

    /// What the processes use.
    pub fn resources(&self) -> Resources {
        Resources {
            processes: self.0.len(),
            cpu: self.rate("process_cpu_seconds_total", |_| true),
            memory_bytes: self.sum("process_resident_memory_bytes").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use super::*;
    use crate::commands::top::{exposition::Exposition, rates::Reading};

    fn process(before: &str, after: &str) -> Process {
        let at = Instant::now();
        let read = |at, text| Reading { at, exposition: Exposition::parse(text, |_| true).unwrap() };
        let mut process = Process::new(read(at, before));
        process.read(read(at + Duration::from_secs(10), after));
        process
    }

    #[test]
    fn what_is_wanted_is_what_the_platform_measures() {
        let reference = include_str!("../../../docs/metrics.md");
        for name in WANTED {
            let named = ["{", "`"].map(|end| format!("`{}{end}", name.trim_end_matches("_bucket")));
            assert!(named.iter().any(|it| reference.contains(it)), "{name} is not in docs/metrics.md");
        }
    }

    #[test]
    fn requests_are_those_of_all_processes_without_those_who_look() {
        let one = process(
            "",
            "http_requests_total{service=\"orders\",route=\"/v1/orders\",status=\"201\"} 90\n\
             http_requests_total{service=\"orders\",route=\"/readyz\",status=\"200\"} 70\n\
             http_requests_total{service=\"orders\",route=\"/v1/ops/actors\",status=\"200\"} 70\n",
        );
        let other = process(
            "http_requests_total{service=\"orders\",route=\"/v1/orders\",status=\"503\"} 5\n",
            "http_requests_total{service=\"orders\",route=\"/v1/orders\",status=\"503\"} 15\n\
             http_requests_total{service=\"catalog\",route=\"/v1/products\",status=\"200\"} 15\n",
        );
        let requests = Sums(vec![&one, &other]).requests_at("orders");
        assert_eq!((requests.per_second, requests.error_share), (10.0, Some(0.1)));
        assert_eq!(Sums(vec![&one]).requests_at("payments"), Requests::default());
    }

    #[test]
    fn what_replicas_read_in_one_database_counts_once() {
        let one = process("", "orders_open{status=\"paid\"} 3\norders_open{status=\"created\"} 1\n");
        let other = process("", "orders_open{status=\"paid\"} 4\n");
        assert_eq!(Sums(vec![&one, &other]).orders().open, Some(5.0));
        assert_eq!(Sums(vec![&one, &other]).orders().stuck, None);
    }

    #[test]
    fn the_p99_of_orders_is_that_of_the_last_seconds() {
        let one = process(
            "order_final_seconds_bucket{le=\"1\",status=\"completed\"} 1000\n\
             order_final_seconds_bucket{le=\"+Inf\",status=\"completed\"} 1000\n",
            "order_final_seconds_bucket{le=\"1\",status=\"completed\"} 1100\n\
             order_final_seconds_bucket{le=\"+Inf\",status=\"completed\"} 1100\n",
        );
        assert!((Sums(vec![&one]).orders().p99_final_seconds.unwrap() - 0.99).abs() < 1e-9);
    }
}
