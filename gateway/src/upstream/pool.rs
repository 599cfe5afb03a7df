//! The instances of one service, and the choice among them.
//!
//! Round robin where all are equal, least loaded where they are not: from the next in turn, the one with the fewest
//! requests under way. An instance with an open breaker is passed over; one whose breaker wants to try again gets its
//! turn, as it would never recover otherwise. An instance that says it is not ready is asked last.
//!
//! Instances come and go ([`Pool::replace`]). A request works on the list as it was when it began; who left is asked for
//! nothing new and answers what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::uri::Authority;
use parking_lot::RwLock;
use viscount_chassis::resilience::{BreakerState, Guard, GuardConfig, Lane, RetryBudget};

use crate::config::{CallConfig, MOST_INSTANCES};
use crate::routes::Service;

/// One instance of a service.
pub(crate) struct Instance {
    pub(crate) authority: Authority,
    pub(crate) guard: Guard,
    /// Its number in the metrics: the lowest that was free when it came.
    number: u16,
    ready: AtomicBool,
}

/// The instances at one moment.
pub(crate) type Members = Arc<[Arc<Instance>]>;

/// All instances of one service.
pub(crate) struct Pool {
    pub(crate) service: Service,
    /// Locked for as long as it takes to copy or set a pointer.
    members: RwLock<Members>,
    pub(crate) retries: RetryBudget,
    next: AtomicUsize,
    config: CallConfig,
}

impl Instance {
    fn new(authority: Authority, number: u16, ready: bool, service: Service, config: &CallConfig) -> Self {
        let guard = Guard::new(GuardConfig {
            instance: number,
            bulkhead: config.bulkhead,
            patient: Some(config.patient),
            breaker: config.breaker,
            ..GuardConfig::named(service.name())
        });
        Instance { authority, guard, number, ready: AtomicBool::new(ready) }
    }

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
        // Until a probe says otherwise, an instance that we were started with is worth asking.
        let members = authorities.iter().zip(0u16..).map(|(authority, number)| {
            Arc::new(Instance::new(authority.clone(), number, true, service, config))
        });
        Pool {
            service,
            members: RwLock::new(members.collect()),
            retries: RetryBudget::new(config.retry_ratio, 10),
            next: AtomicUsize::new(0),
            config: config.clone(),
        }
    }

    /// The instances now.
    pub(crate) fn members(&self) -> Members {
        self.members.read().clone()
    }

    /// These instances and no others from now on. Who stays keeps its breaker, its places and its number; who is new is
    /// asked last until a probe has found it ready. True when anything has changed.
    pub(crate) fn replace(&self, authorities: &[Authority]) -> bool {
        let mut members = self.members.write();
        let stays = |one: &&Arc<Instance>| authorities.contains(&one.authority);
        let mut next: Vec<Arc<Instance>> = members.iter().filter(stays).cloned().collect();
        let kept = next.len();
        for authority in authorities {
            if next.len() >= MOST_INSTANCES || next.iter().any(|one| one.authority == *authority) {
                continue;
            }
            let is_free = |number: &u16| next.iter().all(|one| one.number != *number);
            let number = (0..).find(is_free).unwrap_or_default();
            next.push(Arc::new(Instance::new(authority.clone(), number, false, self.service, &self.config)));
        }
        if kept == members.len() && kept == next.len() {
            return false;
        }
        let service = self.service.name();
        for gone in members.iter().filter(|one| !authorities.contains(&one.authority)) {
            tracing::info!(service, instance = %gone.authority, "upstream left");
            // A number that is given to a newcomer is the newcomer's.
            if next.iter().all(|one| one.number != gone.number) {
                gone.guard.retire();
            }
        }
        for new in &next[kept..] {
            tracing::info!(service, instance = %new.authority, "upstream joined");
        }
        *members = next.into();
        true
    }

    /// Whether no instance has a place for one more request of this kind.
    pub(crate) fn is_shut(&self, lane: Lane) -> bool {
        let members = self.members.read();
        !members.is_empty() && members.iter().all(|instance| instance.guard.is_shut(lane))
    }

    /// The one of `members` to ask next, other than those already `tried` (a bit for each; there are never more).
    pub(crate) fn choose<'a>(
        &self,
        members: &'a [Arc<Instance>],
        tried: u64,
    ) -> Option<(usize, &'a Instance)> {
        let count = members.len();
        if count == 1 && tried == 0 {
            return members.first().map(|instance| (0, &**instance));
        }
        let start = if count > 1 { self.next.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let turn = (0..count)
            .map(|step| (start.wrapping_add(step)) % count)
            .filter(|at| *at < MOST_INSTANCES && tried & (1 << at) == 0);
        // Stable: among equals the next in turn wins.
        turn.enumerate()
            .min_by_key(|(place, at)| rank(&members[*at], *place == 0))
            .map(|(_, at)| (at, &*members[at]))
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
        let mut seen: Vec<usize> = (0..times).map(|_| pool.choose(&pool.members(), 0).unwrap().0).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    async fn fail(pool: &Pool, at: usize) {
        for _ in 0..5 {
            let call = || async { Err::<(), _>("refused") };
            let _ = pool.members()[at].guard.call(false, call, |_| Verdict::Failure).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_instances_take_turns() {
        let pool = pool(3);
        assert_eq!(chosen(&pool, 3), [0, 1, 2]);
        assert!(pool.choose(&pool.members(), 0b111).is_none());
        assert_eq!(pool.choose(&pool.members(), 0b101).unwrap().0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn broken_and_unready_instances_are_passed_over_until_they_may_be_tried_again() {
        let pool = pool(3);
        fail(&pool, 1).await;
        assert_eq!(chosen(&pool, 9), [0, 2]);
        pool.members()[2].set_ready(false);
        assert_eq!(chosen(&pool, 9), [0]);
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        assert!(chosen(&pool, 9).contains(&1), "half-open gets its turn");
    }

    #[test]
    fn when_all_were_tried_there_is_no_choice_however_many_there_are() {
        let pool = pool(70);
        assert!(pool.choose(&pool.members(), u64::MAX).is_none());
    }

    #[test]
    fn no_instance_is_no_choice() {
        let pool = pool(0);
        assert!(pool.choose(&pool.members(), 0).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_keeps_its_breaker_and_who_is_new_is_asked_last_until_it_is_ready() {
        let pool = pool(2);
        fail(&pool, 1).await;
        let [stays, new] =
            ["127.0.0.1:9001", "127.0.0.1:9002"].map(|text| text.parse::<Authority>().unwrap());
        assert!(pool.replace(&[new.clone(), stays.clone()]));
        assert!(!pool.replace(&[stays.clone(), new.clone()]), "the same again is no change");
        let members = pool.members();
        assert_eq!(members.iter().map(|one| one.authority.clone()).collect::<Vec<_>>(), [stays, new]);
        assert_eq!(
            members.iter().map(|one| one.number).collect::<Vec<_>>(),
            [1, 0],
            "numbers are used again"
        );
        assert_eq!(members[0].guard.state(), BreakerState::Open);
        assert!(!members[1].is_ready());
        assert_eq!(chosen(&pool, 4), [1], "not known to be ready is better than known to be broken");
    }

    #[test]
    fn there_are_never_more_than_can_be_told_apart() {
        let many: Vec<Authority> =
            (0..100).map(|n| format!("10.0.0.1:{}", 9000 + n).parse().unwrap()).collect();
        let pool = pool(1);
        pool.replace(&many);
        assert_eq!(pool.members().len(), MOST_INSTANCES);
    }
}
