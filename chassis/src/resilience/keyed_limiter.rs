//! How much one principal or one address may ask of us: governor's GCRA by key, with what the
//! `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers) need to say.
//!
//! An address is an IPv4 address or an IPv6 /64: whoever has one address of a /64 has all of them. Principals are
//! kept as a keyed hash, so a key is 16 bytes, copies freely and holds no personal data.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::clock::TokioClock;
use crate::metrics::{RESILIENCE_LIMITED_TOTAL, RESILIENCE_LIMITER_KEYS};

type Limiter = RateLimiter<LimitKey, DashMapStateStore<LimitKey>, TokioClock, StateInformationMiddleware>;

/// So many requests in so long, refilled evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// Requests in one window, and at once after a pause.
    pub quota: NonZeroU32,
    /// How long an exhausted quota takes to be whole again.
    pub window: Duration,
}

/// Whom a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LimitKey(Who);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Principal(u64),
    V4(u32),
    V6Prefix(u64),
}

/// Let through: what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests that would still be let through now.
    pub remaining: u32,
    /// Until the quota is whole again.
    pub reset: Duration,
}

/// Not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Until the next request is let through.
    pub retry_after: Duration,
    /// Until the quota is whole again.
    pub reset: Duration,
}

/// A rate limit by key.
pub struct KeyedLimiter {
    name: &'static str,
    policy: RatePolicy,
    interval: Duration,
    limiter: Limiter,
    hasher: RandomState,
    limited: Counter,
    keys: Gauge,
    /// Looked at for each request; the rest only while it is set.
    inherits: AtomicBool,
    previous: Mutex<Option<Previous>>,
}

/// The limiter that was in force before.
struct Previous {
    limiter: Arc<KeyedLimiter>,
    /// Until then it remembers something that its successor does not.
    until: Instant,
}

impl KeyedLimiter {
    /// A limiter that has seen nobody yet; `name` is its metrics label.
    pub fn new(name: &'static str, policy: RatePolicy) -> Self {
        KeyedLimiter::with_hasher(name, policy, RandomState::new())
    }

    /// A limiter under another policy that takes over from this one: who has used up a share of the present quota has used
    /// up that share of the new one, so that a change is no fresh quota for those who were just refused.
    pub fn successor(self: &Arc<Self>, policy: RatePolicy) -> Self {
        let next = KeyedLimiter::with_hasher(self.name, policy, self.hasher.clone());
        let until = Instant::now() + self.policy.window;
        // What this one has inherited itself is charged to it already, for everyone it has seen.
        self.disinherit();
        *next.previous.lock() = Some(Previous { limiter: self.clone(), until });
        next.inherits.store(true, Ordering::Relaxed);
        next
    }

    fn with_hasher(name: &'static str, policy: RatePolicy, hasher: RandomState) -> Self {
        // A zero interval would mean no limit at all; governor has no such quota.
        let interval = (policy.window / policy.quota.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval)
            .unwrap_or_else(|| Quota::per_second(policy.quota))
            .allow_burst(policy.quota);
        KeyedLimiter {
            name,
            policy,
            interval,
            limiter: Limiter::new(quota, DashMapStateStore::default(), TokioClock::new()),
            hasher,
            limited: counter!(RESILIENCE_LIMITED_TOTAL, "name" => name, "instance" => "0"),
            keys: gauge!(RESILIENCE_LIMITER_KEYS, "name" => name),
            inherits: AtomicBool::new(false),
            previous: Mutex::new(None),
        }
    }

    /// The policy it was built with.
    pub fn policy(&self) -> RatePolicy {
        self.policy
    }

    /// The key of an authenticated subject.
    pub fn principal<S: std::hash::Hash + ?Sized>(&self, subject: &S) -> LimitKey {
        LimitKey(Who::Principal(self.hasher.hash_one(subject)))
    }

    /// The key of a network address.
    pub fn address(address: IpAddr) -> LimitKey {
        match address.to_canonical() {
            IpAddr::V4(address) => LimitKey(Who::V4(address.to_bits())),
            IpAddr::V6(address) => LimitKey(Who::V6Prefix(prefix_64(address))),
        }
    }

    /// Counts one request for a key.
    pub fn check(&self, key: LimitKey) -> Result<Allowance, Refusal> {
        match self.limiter.check_key(&key) {
            Ok(state) => {
                let mut remaining = state.remaining_burst_capacity();
                if self.inherits.load(Ordering::Relaxed) && remaining + 1 >= self.policy.quota.get() {
                    remaining = self.inherit(key, remaining);
                }
                let used = self.policy.quota.get().saturating_sub(remaining);
                Ok(Allowance { remaining, reset: self.interval * used })
            }
            Err(not_until) => {
                self.limited.increment(1);
                let retry_after = not_until.wait_time_from(self.limiter.clock().now());
                let reset = retry_after + self.interval * self.policy.quota.get().saturating_sub(1);
                Err(Refusal { retry_after, reset })
            }
        }
    }

    /// Charges a key that we see for the first time with what it has used of the quota before ours. What is left.
    fn inherit(&self, key: LimitKey, remaining: u32) -> u32 {
        let previous = self.previous.lock();
        let Some(Previous { limiter, until }) = &*previous else { return remaining };
        if Instant::now() >= *until {
            return remaining;
        }
        let (theirs, ours) = (u64::from(limiter.policy.quota.get()), u64::from(self.policy.quota.get()));
        let charge = match limiter.limiter.check_key(&key) {
            // Before this request, which it has counted as well.
            Ok(state) => {
                (theirs - 1).saturating_sub(u64::from(state.remaining_burst_capacity())) * ours / theirs
            }
            Err(_) => ours,
        };
        let charge = u32::try_from(charge).unwrap_or(u32::MAX).min(remaining);
        match NonZeroU32::new(charge).map(|charge| self.limiter.check_key_n(&key, charge)) {
            Some(Ok(Ok(state))) => state.remaining_burst_capacity(),
            _ => remaining,
        }
    }

    fn disinherit(&self) {
        self.inherits.store(false, Ordering::Relaxed);
        *self.previous.lock() = None;
    }

    /// Forgets every key that is as good as new, and gives the memory back.
    pub fn sweep(&self) {
        let is_over = self.previous.lock().as_ref().is_some_and(|previous| Instant::now() >= previous.until);
        if is_over {
            self.disinherit();
        }
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.keys.set(self.limiter.len() as f64);
    }

    /// Keys remembered.
    pub fn keys(&self) -> usize {
        self.limiter.len()
    }
}

/// Sweeps all limiters of a process for ever: one task, since governor frees nothing by itself.
///
/// `limiters` is asked each time: one may have been succeeded by another.
pub async fn janitor(limiters: impl Fn() -> Vec<Arc<KeyedLimiter>>, every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for limiter in limiters() {
            limiter.sweep();
        }
    }
}

fn prefix_64(address: Ipv6Addr) -> u64 {
    (address.to_bits() >> 64) as u64
}
