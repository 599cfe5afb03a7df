//! The circuit breaker: `failsafe` judges when a callee is dead and for how long, the three states are ours.
//!
//! Ours, because failsafe's own state machine lets every caller through while it is half-open (50 of 50 in a
//! trial), does not say when to come back, and reads a clock that tests cannot pause.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use failsafe::FailurePolicy;
use failsafe::failure_policy::{
    ConsecutiveFailures, SuccessRateOverTimeWindow, consecutive_failures, success_rate_over_time_window,
};
use metrics::Gauge;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::BreakerConfig;

/// What the breaker does with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets it through.
    Closed,
    /// Lets one probe through.
    HalfOpen,
    /// Refuses it.
    Open,
}

pub(super) struct Breaker {
    inner: Mutex<Inner>,
    gauge: Gauge,
}

struct Inner {
    state: State,
    /// Counts openings and closings, so that a result of an earlier age does not count in this one.
    age: u64,
    in_a_row: ConsecutiveFailures<Openings>,
    rate: Option<SuccessRateOverTimeWindow<Openings>>,
    last_opening: Duration,
}

enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// Permission for one call. Tell it how the call went; dropped untold, it says nothing about the callee.
pub(super) struct Ticket<'a> {
    breaker: &'a Breaker,
    age: u64,
    probe: bool,
    settled: bool,
}

impl Breaker {
    /// Shows a closed breaker, whatever it is: nobody is behind it any more.
    pub(super) fn retire(&self) {
        self.gauge.set(0.0);
    }

    pub(super) fn new(config: BreakerConfig, gauge: Gauge) -> Self {
        let openings = Openings::new(config.open_for, config.open_at_most);
        gauge.set(0.0);
        Breaker {
            inner: Mutex::new(Inner {
                state: State::Closed,
                age: 0,
                in_a_row: consecutive_failures(config.consecutive_failures.max(1), openings.clone()),
                rate: config.failure_rate.map(|rate| {
                    let required = 1.0 - rate.above.clamp(0.0, 1.0);
                    let window = rate.window.max(Duration::from_secs(1));
                    success_rate_over_time_window(required, rate.min_calls, window, openings)
                }),
                last_opening: config.open_for,
            }),
            gauge,
        }
    }

    /// What the next call would meet; does not take the probe.
    pub(super) fn state(&self) -> BreakerState {
        let inner = self.inner.lock();
        match inner.state {
            State::Closed => BreakerState::Closed,
            State::HalfOpen { probing: true } => BreakerState::Open,
            State::HalfOpen { probing: false } => BreakerState::HalfOpen,
            State::Open { until } if Instant::now() >= until => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    /// Would a call be refused now? A look before one queues for a permit.
    pub(super) fn refuses(&self) -> Option<Duration> {
        self.inner.lock().refusal()
    }

    /// Permission to call, or how long to stay away.
    pub(super) fn admit(&self) -> Result<Ticket<'_>, Duration> {
        let mut inner = self.inner.lock();
        if let Some(retry_after) = inner.refusal() {
            return Err(retry_after);
        }
        let probe = match inner.state {
            State::Closed => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                inner.state = State::HalfOpen { probing: true };
                self.gauge.set(1.0);
                true
            }
        };
        Ok(Ticket { breaker: self, age: inner.age, probe, settled: false })
    }

    fn record(&self, age: u64, probe: bool, success: bool) {
        let mut inner = self.inner.lock();
        if inner.age != age {
            return;
        }
        match (probe, success) {
            (false, true) => inner.succeeded(),
            (true, true) => {
                inner.revive();
                self.gauge.set(0.0);
            }
            (false, false) => {
                if let Some(period) = inner.failed() {
                    inner.open(period);
                    self.gauge.set(2.0);
                }
            }
            (true, false) => {
                // A failed probe opens again whatever the counts say, for longer where they say so.
                let period = inner.failed().unwrap_or(inner.last_opening);
                inner.open(period);
                self.gauge.set(2.0);
            }
        }
    }

    fn give_probe_back(&self, age: u64) {
        let mut inner = self.inner.lock();
        if inner.age == age {
            inner.state = State::HalfOpen { probing: false };
        }
    }
}

impl Inner {
    fn refusal(&self) -> Option<Duration> {
        match self.state {
            State::Closed | State::HalfOpen { probing: false } => None,
            // The probe decides; whoever comes now is told to wait as long as the last opening took.
            State::HalfOpen { probing: true } => Some(self.last_opening),
            State::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                (!left.is_zero()).then_some(left)
            }
        }
    }

    fn succeeded(&mut self) {
        self.in_a_row.record_success();
        if let Some(rate) = &mut self.rate {
            rate.record_success();
        }
    }

    /// Counts a failure; the period to open for, when it is one too many.
    fn failed(&mut self) -> Option<Duration> {
        let in_a_row = self.in_a_row.mark_dead_on_failure();
        let rate = self.rate.as_mut().and_then(FailurePolicy::mark_dead_on_failure);
        in_a_row.max(rate)
    }

    fn open(&mut self, period: Duration) {
        self.age += 1;
        self.last_opening = period;
        self.state = State::Open { until: Instant::now() + period };
    }

    fn revive(&mut self) {
        self.age += 1;
        self.state = State::Closed;
        self.in_a_row.revived();
        if let Some(rate) = &mut self.rate {
            rate.revived();
        }
    }
}

impl Ticket<'_> {
    pub(super) fn success(mut self) {
        self.settled = true;
        self.breaker.record(self.age, self.probe, true);
    }

    pub(super) fn failure(mut self) {
        self.settled = true;
        self.breaker.record(self.age, self.probe, false);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.settled && self.probe {
            // An undecided probe must not leave the breaker waiting for ever: the next caller probes.
            self.breaker.give_probe_back(self.age);
        }
    }
}

/// Open periods: jittered, doubling up to a bound. A clone starts over, which is how failsafe resets it.
#[derive(Debug)]
struct Openings {
    builder: ExponentialBuilder,
    periods: ExponentialBackoff,
}

impl Openings {
    fn new(first: Duration, longest: Duration) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest.max(first))
            .with_jitter()
            .without_max_times();
        Openings { builder, periods: builder.build() }
    }
}

impl Clone for Openings {
    fn clone(&self) -> Self {
        Openings { builder: self.builder, periods: self.builder.build() }
    }
}

impl Iterator for Openings {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.periods.next()
    }
}
