//! What a guard is built from. Plain data with defaults fit for a call inside one datacentre.

use std::num::NonZeroU32;
use std::time::Duration;

/// Everything a [`Guard`](super::Guard) needs to know. Start from [`GuardConfig::named`] and change what differs.
#[derive(Debug, Clone)]
pub struct GuardConfig {
    /// Who is called; the `name` label of every metric.
    pub name: &'static str,
    /// Which of several equal callees, for the `instance` label (a position in a list, never an address or id).
    pub instance: u16,
    /// How long one `call` may take in all: waiting for a permit, retries and their pauses included.
    pub deadline: Duration,
    /// How many calls may be under way at once.
    pub bulkhead: BulkheadConfig,
    /// A bulkhead of their own for [`Lane::Patient`](super::Lane::Patient) calls; none: they share the other one.
    pub patient: Option<BulkheadConfig>,
    /// When to stop calling for a while.
    pub breaker: BreakerConfig,
    /// How often we may call at all, where the callee has such a limit.
    pub limiter: Option<LimiterConfig>,
    /// Whether idempotent calls are tried again.
    pub retry: Option<RetryConfig>,
}

/// Calls under way at once, and how many more may wait for their turn.
#[derive(Debug, Clone, Copy)]
pub struct BulkheadConfig {
    /// Calls under way; 0 is taken as 1.
    pub permits: usize,
    /// Callers who may wait; the next one is refused at once.
    pub max_waiting: usize,
    /// What to do about a queue that does not end; none: everybody waits until the call's deadline.
    pub standing: Option<StandingQueue>,
}

/// What becomes of a queue that stays: it gets short, so that a refusal comes at once and not after a long wait.
#[derive(Debug, Clone, Copy)]
pub struct StandingQueue {
    /// A queue stays when it has not been empty for this long; also the longest wait in any queue.
    pub after: Duration,
    /// Then this many may wait,
    pub most: usize,
    /// this long.
    pub patience: Duration,
}

/// When the breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerConfig {
    /// This many failures in a row open it; 0 is taken as 1.
    pub consecutive_failures: u32,
    /// A failure rate that opens it too: a callee that answers now and then never fails often in a row.
    pub failure_rate: Option<FailureRate>,
    /// The first open period (plus up to as much again by chance); it doubles with every failed probe.
    pub open_for: Duration,
    /// The longest open period, before chance.
    pub open_at_most: Duration,
}

/// A failure rate over a moving window (exponentially weighted towards recent calls).
#[derive(Debug, Clone, Copy)]
pub struct FailureRate {
    /// Opens above this share of failures, 0.0 to 1.0.
    pub above: f64,
    /// Judged only when the window saw this many calls.
    pub min_calls: u32,
    /// Length of the window, whole seconds; also how long a fresh or revived breaker judges by failures in a row alone.
    pub window: Duration,
}

/// A steady rate with a burst.
#[derive(Debug, Clone, Copy)]
pub struct LimiterConfig {
    /// Calls a second in the long run.
    pub per_second: NonZeroU32,
    /// Calls at once after a pause.
    pub burst: NonZeroU32,
}

/// How an idempotent call is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetryConfig {
    /// Attempts after the first.
    pub max_retries: usize,
    /// Pause before the first retry (plus up to as much again by chance); doubles each time.
    pub first_pause: Duration,
    /// The longest pause, before chance.
    pub longest_pause: Duration,
    /// How long one attempt may take, so that a hung attempt leaves time for another; none: the whole deadline.
    pub attempt_deadline: Option<Duration>,
    /// What each call adds to the budget; a retry costs 1. 0.1 means: at most 10 % more calls in the long run.
    pub budget_ratio: f64,
    /// What the budget holds at most, and at the start: so few calls can be retried even on a quiet day.
    pub budget_burst: u32,
}

impl GuardConfig {
    /// The defaults under a name: 5 s, 64 at once with 64 waiting in one lane, breaker on, no limiter, no retry.
    pub fn named(name: &'static str) -> Self {
        GuardConfig {
            name,
            instance: 0,
            deadline: Duration::from_secs(5),
            bulkhead: BulkheadConfig::default(),
            patient: None,
            breaker: BreakerConfig::default(),
            limiter: None,
            retry: None,
        }
    }
}

impl Default for BulkheadConfig {
    fn default() -> Self {
        BulkheadConfig { permits: 64, max_waiting: 64, standing: None }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig {
            consecutive_failures: 5,
            failure_rate: Some(FailureRate::default()),
            open_for: Duration::from_millis(500),
            open_at_most: Duration::from_secs(30),
        }
    }
}

impl Default for FailureRate {
    fn default() -> Self {
        FailureRate { above: 0.5, min_calls: 20, window: Duration::from_secs(10) }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig {
            max_retries: 2,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(1),
            attempt_deadline: None,
            budget_ratio: 0.1,
            budget_burst: 10,
        }
    }
}
