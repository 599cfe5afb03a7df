//! The handles of the metrics that a guard keeps.
//!
//! Handles are resolved once, when a guard is built: install the recorder first.

use metrics::{Counter, Gauge, counter, gauge};

use crate::metrics::{
    RESILIENCE_BREAKER_STATE, RESILIENCE_BULKHEAD_IN_USE, RESILIENCE_CALLS_TOTAL, RESILIENCE_LIMITED_TOTAL,
    RESILIENCE_RETRIES_DENIED_TOTAL, RESILIENCE_RETRIES_TOTAL,
};

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
                |outcome| counter!(RESILIENCE_CALLS_TOTAL, "name" => name, "instance" => instance.clone(), "outcome" => outcome),
            ),
            retries: counter!(RESILIENCE_RETRIES_TOTAL, "name" => name, "instance" => instance.clone()),
            retries_denied: counter!(RESILIENCE_RETRIES_DENIED_TOTAL, "name" => name, "instance" => instance.clone()),
            limited: counter!(RESILIENCE_LIMITED_TOTAL, "name" => name, "instance" => instance),
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
    gauge!(RESILIENCE_BREAKER_STATE, "name" => name, "instance" => instance.to_string())
}

pub(super) fn bulkhead_in_use(name: &'static str, instance: u16) -> Gauge {
    gauge!(RESILIENCE_BULKHEAD_IN_USE, "name" => name, "instance" => instance.to_string())
}
