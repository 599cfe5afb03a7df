//! A bound on calls under way, with a bounded queue in front.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Gauge;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::config::BulkheadConfig;

pub(super) struct Bulkhead {
    permits: Semaphore,
    size: usize,
    waiting: AtomicUsize,
    max_waiting: usize,
    in_use: Gauge,
}

/// A place in the bulkhead; given back on drop, whatever way the call ends.
pub(super) struct Place<'a> {
    _permit: SemaphorePermit<'a>,
    in_use: &'a Gauge,
}

impl Bulkhead {
    pub(super) fn new(config: BulkheadConfig, in_use: Gauge) -> Self {
        let size = config.permits.clamp(1, Semaphore::MAX_PERMITS);
        Bulkhead {
            permits: Semaphore::new(size),
            size,
            waiting: AtomicUsize::new(0),
            max_waiting: config.max_waiting,
            in_use,
        }
    }

    /// A place now, or after a wait until the deadline at most; `None` when full and the queue is full, or too late.
    pub(super) async fn enter(&self, deadline: Instant) -> Option<Place<'_>> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Some(self.place(permit));
        }
        let _waiter = Waiter::join(&self.waiting, self.max_waiting)?;
        let permit = timeout_at(deadline, self.permits.acquire()).await.ok()?.ok()?;
        Some(self.place(permit))
    }

    pub(super) fn in_use(&self) -> usize {
        self.size.saturating_sub(self.permits.available_permits())
    }

    fn place<'a>(&'a self, permit: SemaphorePermit<'a>) -> Place<'a> {
        self.in_use.increment(1.0);
        Place { _permit: permit, in_use: &self.in_use }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.in_use.decrement(1.0);
    }
}

/// One who waits; leaves the queue on drop, also when the caller gives up.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn join(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < most).then_some(now + 1))
            .ok()?;
        Some(Waiter(waiting))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
