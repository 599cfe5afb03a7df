//! When the next batch of a committer begins.

use std::time::Duration;

use tokio::time::Instant;

/// How many entries a batch has on average where they are said to come in company.
const COMPANY: f64 = 1.5;
/// A committer in company writes for a third of the time at the most, until its pause is at its longest.
const SHARE: u32 = 3;

/// Keeps some time between the beginnings of two batches while entries come in company.
///
/// A batch has a cost of its own, however small it is. Where the database is faster than the entries come, batches
/// would be of a few entries each, and that cost most of what an entry costs: at half of the peak an order took twice
/// the CPU time that it takes at the peak, and the machine was nearly as busy. The pause follows the last batch's
/// duration, so it is short where writing is quick. An entry that comes alone never waits: somebody who commits one
/// after the other is not slowed down.
pub(super) struct Pace {
    longest: Duration,
    next: Option<Instant>,
    /// Entries in a batch: a moving average.
    entries: f64,
}

impl Pace {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, next: None, entries: 1.0 }
    }

    /// Until when a batch that could be written now should wait for more.
    pub(super) fn wait(&self) -> Option<Instant> {
        self.next.filter(|next| self.entries > COMPANY && *next > Instant::now())
    }

    /// A batch of so many entries was begun then and is written now.
    pub(super) fn written(&mut self, begun: Instant, entries: usize) {
        self.next = Some(begun + self.longest.min(SHARE * begun.elapsed()));
        self.entries += (entries as f64 - self.entries) / 8.0;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    async fn written(pace: &mut Pace, entries: usize, took: Duration) -> Instant {
        let begun = Instant::now();
        advance(took).await;
        pace.written(begun, entries);
        begun
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_alone_never_waits() {
        let mut pace = Pace::new(10 * MS);
        for _ in 0..100 {
            assert_eq!(pace.wait(), None);
            written(&mut pace, 1, 2 * MS).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn in_company_a_third_of_the_time_is_spent_writing() {
        let mut pace = Pace::new(10 * MS);
        for _ in 0..10 {
            written(&mut pace, 4, 2 * MS).await;
        }
        let begun = written(&mut pace, 4, 2 * MS).await;
        assert_eq!(pace.wait(), Some(begun + 6 * MS));
        advance(4 * MS).await;
        assert_eq!(pace.wait(), None, "it is time");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_is_bounded_so_that_full_load_is_written_without_one() {
        let mut pace = Pace::new(10 * MS);
        for _ in 0..10 {
            written(&mut pace, 200, 4 * MS).await;
        }
        let begun = written(&mut pace, 200, 4 * MS).await;
        assert_eq!(pace.wait(), Some(begun + 10 * MS));
        written(&mut pace, 200, 12 * MS).await;
        assert_eq!(pace.wait(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn company_that_has_left_is_forgotten() {
        let mut pace = Pace::new(10 * MS);
        for _ in 0..10 {
            written(&mut pace, 8, 2 * MS).await;
        }
        assert!(pace.wait().is_some());
        for _ in 0..30 {
            written(&mut pace, 1, 2 * MS).await;
        }
        assert_eq!(pace.wait(), None);
    }
}
