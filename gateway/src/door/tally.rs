//! Requests that were turned away for want of a place or of an allowance, told by number: a line for each would make a
//! flood worse.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How often a line is written at the most.
const EVERY: Duration = Duration::from_secs(1);

/// What has not been told yet.
pub(super) struct Tally {
    count: AtomicU64,
    born: Instant,
    /// Milliseconds after `born` from which the next line may be written.
    next: AtomicU64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Tally { count: AtomicU64::new(0), born: Instant::now(), next: AtomicU64::new(0) }
    }

    /// Counts one, turned away for `reason`, and writes a line when it is time.
    pub(super) fn add(&self, reason: &'static str) {
        if let Some(requests) = self.due() {
            tracing::warn!(target: "access", requests, reason, "turning requests away");
        }
    }

    /// Counts one; how many there were since the last line, when one is due.
    fn due(&self) -> Option<u64> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let now = millis(self.born.elapsed());
        let next = self.next.load(Ordering::Relaxed);
        if now < next {
            return None;
        }
        // One of several threads tells.
        self.next.compare_exchange(next, now + millis(EVERY), Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.count.fetch_sub(count, Ordering::Relaxed);
        Some(count)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_one_is_told_once_and_at_most_once_a_second() {
        let tally = Tally::new();
        assert_eq!(tally.due(), Some(1), "the first is told at once");
        for _ in 0..100 {
            assert_eq!(tally.due(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(tally.due(), Some(101));
        assert_eq!(tally.due(), None);
    }
}
