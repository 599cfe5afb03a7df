//! Names of this module's metrics, and the handles a guard keeps.
//!
//! Handles are resolved once, when a guard is built: install the recorder first.

use metrics::{Counter, Gauge, counter, gauge};

/// Gauge: 0 closed, 1 half-open, 2 open. Labels `name`, `instance`.
pub const BREAKER_STATE: &str = "resilience_breaker_state";
/// Counter of attempts by how they ended. Labels `name`, `instance`, `outcome` (see [`OUTCOMES`]).
pub const CALLS_TOTAL: &str = "resilience_calls_total";
/// Gauge: calls under way. Labels `name`, `instance`.
pub const BULKHEAD_IN_USE: &str = "resilience_bulkhead_in_use";
/// Counter: attempts after the first. Labels `name`, `instance`.
pub const RETRIES_TOTAL: &str = "resilience_retries_total";
/// Counter: retries not made since the budget was spent. Labels `name`, `instance`.
pub const RETRIES_DENIED_TOTAL: &str = "resilience_retries_denied_total";
/// Counter: calls refused by a limiter. Labels `name`, `instance`.
pub const LIMITED_TOTAL: &str = "resilience_limited_total";
/// Gauge: keys a keyed limiter remembers. Label `name`.
pub const LIMITER_KEYS: &str = "resilience_limiter_keys";

/// The values of `outcome`.
pub const OUTCOMES: [&str; 8] =
    ["success", "failure", "deadline", "panicked", "cancelled", "open", "saturated", "limited"];

/// How one attempt ended, as a position in [`OUTCOMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
    Deadline,
    Panicked,
    Cancelled,
    Open,
    Saturated,
    Limited,
}

/// The metrics of one guard.
pub(super) struct GuardMetrics {
    calls: [Counter; OUTCOMES.len()],
    pub(super) retries: Counter,
    pub(super) retries_denied: Counter,
    limited: Counter,
}

impl GuardMetrics {
    pub(super) fn new(name: &'static str, instance: u16) -> Self {
        let instance = instance.to_string();
        GuardMetrics {
            calls: OUTCOMES.map(
                |outcome| counter!(CALLS_TOTAL, "name" => name, "instance" => instance.clone(), "outcome" => outcome),
            ),
            retries: counter!(RETRIES_TOTAL, "name" => name, "instance" => instance.clone()),
            retries_denied: counter!(RETRIES_DENIED_TOTAL, "name" => name, "instance" => instance.clone()),
            limited: counter!(LIMITED_TOTAL, "name" => name, "instance" => instance),
        }
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.calls[outcome as usize].increment(1);
        if outcome == Outcome::Limited {
            self.limited.increment(1);
        }
    }
}

pub(super) fn breaker_state(name: &'static str, instance: u16) -> Gauge {
    gauge!(BREAKER_STATE, "name" => name, "instance" => instance.to_string())
}

pub(super) fn bulkhead_in_use(name: &'static str, instance: u16) -> Gauge {
    gauge!(BULKHEAD_IN_USE, "name" => name, "instance" => instance.to_string())
}
