//! The instances of one service, and the choice among them.
//!
//! Round robin where all are equal, least loaded where they are not: from the next in turn, the one with the fewest
//! requests under way. An instance with an open breaker is passed over; one whose breaker wants to try again gets its
//! turn, as it would never recover otherwise. An instance that says it is not ready is asked last.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::uri::Authority;
use viscount_chassis::resilience::{BreakerState, Guard, GuardConfig, Lane, RetryBudget};

use crate::config::{CallConfig, MOST_INSTANCES};
use crate::routes::Service;

/// One instance of a service.
pub(crate) struct Instance {
    pub(crate) authority: Authority,
    pub(crate) guard: Guard,
    ready: AtomicBool,
}

/// All instances of one service.
pub(crate) struct Pool {
    pub(crate) service: Service,
    pub(crate) instances: Vec<Instance>,
    pub(crate) retries: RetryBudget,
    next: AtomicUsize,
}

impl Instance {
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// What the last probe found.
    pub(crate) fn set_ready(&self, ready: bool) -> bool {
        self.ready.swap(ready, Ordering::Relaxed) != ready
    }
}

impl Pool {
    pub(crate) fn new(service: Service, authorities: &[Authority], config: &CallConfig) -> Self {
        let instances = authorities.iter().zip(0u16..).map(|(authority, instance)| {
            let guard = GuardConfig {
                instance,
                bulkhead: config.bulkhead,
                patient: Some(config.patient),
                breaker: config.breaker,
                ..GuardConfig::named(service.name())
            };
            // Until a probe says otherwise, an instance is worth asking.
            Instance { authority: authority.clone(), guard: Guard::new(guard), ready: AtomicBool::new(true) }
        });
        Pool {
            service,
            instances: instances.collect(),
            retries: RetryBudget::new(config.retry_ratio, 10),
            next: AtomicUsize::new(0),
        }
    }

    /// Whether no instance has a place for one more request of this kind.
    pub(crate) fn is_shut(&self, lane: Lane) -> bool {
        !self.instances.is_empty() && self.instances.iter().all(|instance| instance.guard.is_shut(lane))
    }

    /// The instance to ask next, other than those already `tried` (a bit for each; the configuration has no more).
    pub(crate) fn choose(&self, tried: u64) -> Option<(usize, &Instance)> {
        let count = self.instances.len();
        if count == 1 && tried == 0 {
            return self.instances.first().map(|instance| (0, instance));
        }
        let start = if count > 1 { self.next.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let turn = (0..count)
            .map(|step| (start.wrapping_add(step)) % count)
            .filter(|at| *at < MOST_INSTANCES && tried & (1 << at) == 0);
        // Stable: among equals the next in turn wins.
        turn.enumerate()
            .min_by_key(|(place, at)| rank(&self.instances[*at], *place == 0))
            .map(|(_, at)| (at, &self.instances[at]))
    }
}

/// Lower is better: breaker, readiness, load.
fn rank(instance: &Instance, in_turn: bool) -> (u8, usize) {
    let standing = match instance.guard.state() {
        BreakerState::HalfOpen if in_turn => 0,
        BreakerState::Closed if instance.is_ready() => 1,
        BreakerState::HalfOpen => 2,
        BreakerState::Closed => 3,
        BreakerState::Open => 4,
    };
    (standing, instance.guard.in_use())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use viscount_chassis::resilience::Verdict;

    use super::*;

    fn pool(count: u16) -> Pool {
        let authorities: Vec<Authority> =
            (0..count).map(|n| format!("127.0.0.1:{}", 9000 + n).parse().unwrap()).collect();
        Pool::new(Service::Orders, &authorities, &CallConfig::default())
    }

    fn chosen(pool: &Pool, times: usize) -> Vec<usize> {
        let mut seen: Vec<usize> = (0..times).map(|_| pool.choose(0).unwrap().0).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    async fn fail(pool: &Pool, at: usize) {
        for _ in 0..5 {
            let call = || async { Err::<(), _>("refused") };
            let _ = pool.instances[at].guard.call(false, call, |_| Verdict::Failure).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_instances_take_turns() {
        let pool = pool(3);
        assert_eq!(chosen(&pool, 3), [0, 1, 2]);
        assert!(pool.choose(0b111).is_none());
        assert_eq!(pool.choose(0b101).unwrap().0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn broken_and_unready_instances_are_passed_over_until_they_may_be_tried_again() {
        let pool = pool(3);
        fail(&pool, 1).await;
        assert_eq!(chosen(&pool, 9), [0, 2]);
        pool.instances[2].set_ready(false);
        assert_eq!(chosen(&pool, 9), [0]);
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        assert!(chosen(&pool, 9).contains(&1), "half-open gets its turn");
    }

    #[test]
    fn when_all_were_tried_there_is_no_choice_however_many_there_are() {
        assert!(pool(70).choose(u64::MAX).is_none());
    }

    #[test]
    fn no_instance_is_no_choice() {
        assert!(pool(0).choose(0).is_none());
    }
}
