//! A bound on calls under way, with a bounded queue in front.
//!
//! A queue is there to smooth bursts. One that stays is of no use: everybody waits as long as the queue is, and no more
//! work gets done (Nichols and Jacobson, *Controlling Queue Delay*, ACM Queue 10(5), 2012). So a queue that has not been
//! empty for a while is kept short, and whoever waits in it gives up soon (the rule for servers: Maurer, *Fail at
//! Scale*, ACM Queue 13(8), 2015).

use std::time::Duration;

use metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::config::{BulkheadConfig, StandingQueue};

pub(super) struct Bulkhead {
    permits: Semaphore,
    size: usize,
    queue: Queue,
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
        let BulkheadConfig { max_waiting, standing, .. } = config;
        Bulkhead {
            permits: Semaphore::new(size),
            size,
            queue: Queue { max_waiting, standing, line: Mutex::default() },
            in_use,
        }
    }

    /// A place now, or after a wait until the deadline at most; `None` when full and the queue is full, or too late.
    pub(super) async fn enter(&self, deadline: Instant) -> Option<Place<'_>> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Some(self.place(permit));
        }
        let (_waiter, patience) = self.queue.join(Instant::now())?;
        let until = patience.map_or(deadline, |patience| deadline.min(Instant::now() + patience));
        let permit = timeout_at(until, self.permits.acquire()).await.ok()?.ok()?;
        Some(self.place(permit))
    }

    /// Whether the next call would be refused without a wait.
    pub(super) fn is_shut(&self) -> bool {
        self.permits.available_permits() == 0 && self.queue.is_shut(Instant::now())
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

struct Queue {
    max_waiting: usize,
    standing: Option<StandingQueue>,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    waiting: usize,
    /// Since when somebody has been waiting without a break.
    since: Option<Instant>,
}

impl Queue {
    /// A place in the queue, and how long to stay in it; `None` where it is full.
    fn join(&self, now: Instant) -> Option<(Waiter<'_>, Option<Duration>)> {
        let mut line = self.line.lock();
        let (most, patience) = self.bounds(&line, now);
        if line.waiting >= most {
            return None;
        }
        line.waiting += 1;
        line.since.get_or_insert(now);
        Some((Waiter(self), patience))
    }

    fn is_shut(&self, now: Instant) -> bool {
        let line = self.line.lock();
        line.waiting >= self.bounds(&line, now).0
    }

    fn bounds(&self, line: &Line, now: Instant) -> (usize, Option<Duration>) {
        match &self.standing {
            None => (self.max_waiting, None),
            Some(rule) if line.since.is_some_and(|since| now.duration_since(since) > rule.after) => {
                (self.max_waiting.min(rule.most), Some(rule.patience))
            }
            Some(rule) => (self.max_waiting, Some(rule.after)),
        }
    }
}

/// One who waits; leaves the queue on drop, also when the caller gives up.
struct Waiter<'a>(&'a Queue);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line.lock();
        line.waiting -= 1;
        if line.waiting == 0 {
            line.since = None;
        }
    }
}
