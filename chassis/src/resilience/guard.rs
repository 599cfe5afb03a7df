//! One guard stands before one callee (an upstream instance, a payment provider, a key endpoint).

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::FutureExt;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep, timeout_at};

use super::breaker::{Breaker, BreakerState, Ticket};
use super::budget::RetryBudget;
use super::bulkhead::Bulkhead;
use super::clock::TokioClock;
use super::config::{GuardConfig, LimiterConfig, RetryConfig};
use super::error::{CallError, Verdict};
use super::metrics::{GuardMetrics, Outcome, breaker_state, bulkhead_in_use};

type DirectLimiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>;

/// Which bulkhead a call goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Calls that end as soon as they can.
    Usual,
    /// Calls that are slow because their caller asked them to wait for something. They hold a place for seconds while
    /// nobody works on them, so they must not take the places of the others.
    Patient,
}

/// Deadline, bulkhead, breaker, limiter and budgeted retry around calls to one callee. Share it by `Arc`.
pub struct Guard {
    name: &'static str,
    deadline: Duration,
    attempt_deadline: Option<Duration>,
    bulkhead: Bulkhead,
    patient: Option<Bulkhead>,
    breaker: Breaker,
    limiter: Option<DirectLimiter>,
    retry: Option<Retry>,
    metrics: GuardMetrics,
}

struct Retry {
    pauses: ExponentialBuilder,
    budget: RetryBudget,
}

impl Guard {
    /// A guard with everything at rest.
    pub fn new(config: GuardConfig) -> Self {
        let GuardConfig { name, instance, deadline, breaker, limiter, retry, .. } = config;
        let bulkhead = |config| Bulkhead::new(config, bulkhead_in_use(name, instance));
        Guard {
            name,
            deadline,
            attempt_deadline: retry.and_then(|retry| retry.attempt_deadline),
            bulkhead: bulkhead(config.bulkhead),
            patient: config.patient.map(bulkhead),
            breaker: Breaker::new(breaker, breaker_state(name, instance)),
            limiter: limiter.map(direct_limiter),
            retry: retry.map(Retry::new),
            metrics: GuardMetrics::new(name, instance),
        }
    }

    /// The callee is gone for good: its gauges no longer speak of it. Calls under way end as they end.
    pub fn retire(&self) {
        self.breaker.retire();
    }

    /// Makes the call, within all bounds.
    ///
    /// `idempotent` says that doing it twice does no harm; only then is it tried again. `classify` says what a
    /// result means for the callee's health. The last result is returned as it is, also when judged a failure.
    pub async fn call<T, E, F, Fut>(
        &self,
        idempotent: bool,
        attempt: F,
        classify: fn(&Result<T, E>) -> Verdict,
    ) -> Result<T, CallError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_within(self.deadline, idempotent, attempt, classify).await
    }

    /// [`Guard::call`] with a deadline of this call's own.
    pub async fn call_within<T, E, F, Fut>(
        &self,
        deadline: Duration,
        idempotent: bool,
        attempt: F,
        classify: fn(&Result<T, E>) -> Verdict,
    ) -> Result<T, CallError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_in(Lane::Usual, deadline, idempotent, attempt, classify).await
    }

    /// [`Guard::call_within`] through one of the bulkheads.
    pub async fn call_in<T, E, F, Fut>(
        &self,
        lane: Lane,
        deadline: Duration,
        idempotent: bool,
        mut attempt: F,
        classify: fn(&Result<T, E>) -> Verdict,
    ) -> Result<T, CallError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let deadline = Instant::now() + deadline;
        if let Some(retry) = &self.retry {
            retry.budget.deposit();
        }
        let mut pauses = None;
        loop {
            let (result, transient) = self.attempt(self.lane(lane), deadline, &mut attempt, classify).await;
            if !(idempotent && transient) {
                return result;
            }
            let Some(pause) = self.pause_before_retry(deadline, &mut pauses) else { return result };
            drop(result);
            sleep(pause).await;
        }
    }

    /// What the breaker would do with the next call.
    pub fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Calls under way.
    pub fn in_use(&self) -> usize {
        self.bulkhead.in_use() + self.patient.as_ref().map_or(0, Bulkhead::in_use)
    }

    /// Whether the next call of this lane would be refused at once for want of a place. Cheap: to be asked before
    /// anything is spent on a call.
    pub fn is_shut(&self, lane: Lane) -> bool {
        self.lane(lane).is_shut()
    }

    fn lane(&self, lane: Lane) -> &Bulkhead {
        match lane {
            Lane::Usual => &self.bulkhead,
            Lane::Patient => self.patient.as_ref().unwrap_or(&self.bulkhead),
        }
    }

    /// Who is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// One attempt, and whether it failed in a way that may pass.
    async fn attempt<T, E, F, Fut>(
        &self,
        bulkhead: &Bulkhead,
        deadline: Instant,
        call: &mut F,
        classify: fn(&Result<T, E>) -> Verdict,
    ) -> (Result<T, CallError<E>>, bool)
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let refuse = |outcome, error| {
            self.metrics.count(outcome);
            (Err(error), false)
        };
        // Asked before queueing, so that nobody waits for a permit to be told no.
        if let Some(retry_after) = self.breaker.refuses() {
            return refuse(Outcome::Open, CallError::Open { retry_after });
        }
        if let Some(retry_after) = self.limited() {
            return refuse(Outcome::Limited, CallError::Limited { retry_after });
        }
        let Some(_place) = bulkhead.enter(deadline).await else {
            return refuse(Outcome::Saturated, CallError::Saturated);
        };
        let ticket = match self.breaker.admit() {
            Ok(ticket) => ticket,
            Err(retry_after) => return refuse(Outcome::Open, CallError::Open { retry_after }),
        };
        let now = Instant::now();
        let until = self.attempt_deadline.map_or(deadline, |attempt| deadline.min(now + attempt));
        let watch =
            Watch { metrics: &self.metrics, ticket: Some(ticket), blame_after: now + (until - now) / 2 };
        // The closure runs inside the future, so that its panic is caught too.
        let call = AssertUnwindSafe(async { call().await }).catch_unwind();
        match timeout_at(until, call).await {
            Ok(Ok(result)) => {
                let verdict = classify(&result);
                watch.settle(match verdict {
                    Verdict::Success => Outcome::Success,
                    Verdict::Failure | Verdict::Retryable => Outcome::Failure,
                    Verdict::Neutral => Outcome::Cancelled,
                });
                (result.map_err(CallError::Inner), verdict == Verdict::Retryable)
            }
            Ok(Err(_panic)) => {
                watch.settle(Outcome::Panicked);
                (Err(CallError::Panicked), false)
            }
            Err(_elapsed) => {
                watch.settle(Outcome::Deadline);
                (Err(CallError::Deadline), true)
            }
        }
    }

    fn limited(&self) -> Option<Duration> {
        let limiter = self.limiter.as_ref()?;
        let not_until = limiter.check().err()?;
        Some(not_until.wait_time_from(limiter.clock().now()))
    }

    fn pause_before_retry(
        &self,
        deadline: Instant,
        pauses: &mut Option<ExponentialBackoff>,
    ) -> Option<Duration> {
        let retry = self.retry.as_ref()?;
        let pause = pauses.get_or_insert_with(|| retry.pauses.build()).next()?;
        if Instant::now() + pause >= deadline {
            return None;
        }
        if !retry.budget.withdraw() {
            self.metrics.retries_denied.increment(1);
            return None;
        }
        self.metrics.retries.increment(1);
        Some(pause)
    }
}

impl Retry {
    fn new(config: RetryConfig) -> Self {
        Retry {
            pauses: ExponentialBuilder::new()
                .with_min_delay(config.first_pause)
                .with_max_delay(config.longest_pause.max(config.first_pause))
                .with_max_times(config.max_retries)
                .with_jitter(),
            budget: RetryBudget::new(config.budget_ratio, config.budget_burst),
        }
    }
}

fn direct_limiter(config: LimiterConfig) -> DirectLimiter {
    let quota = Quota::per_second(config.per_second).allow_burst(config.burst);
    RateLimiter::direct_with_clock(quota, TokioClock::new())
}

/// Sees to it that an attempt is counted however it ends: told, or dropped by a caller who did not wait.
///
/// A dropped call counts as the callee's failure only after half of its time: a caller who leaves at once says
/// nothing about the callee (or any client could open the breaker for all by hanging up), one who leaves late does.
struct Watch<'a> {
    metrics: &'a GuardMetrics,
    ticket: Option<Ticket<'a>>,
    blame_after: Instant,
}

impl Watch<'_> {
    fn settle(mut self, outcome: Outcome) {
        self.metrics.count(outcome);
        if let Some(ticket) = self.ticket.take() {
            match outcome {
                Outcome::Success => ticket.success(),
                Outcome::Cancelled => drop(ticket),
                _ => ticket.failure(),
            }
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        self.metrics.count(Outcome::Cancelled);
        if Instant::now() >= self.blame_after {
            ticket.failure();
        }
    }
}
