//! What happened in each second of a load: the curve over which a report draws the faults.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Longer than any run: what comes later is not counted, so that a wrong clock cannot fill the memory.
const MOST_SECONDS: usize = 24 * 3600;

/// One second of a load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Which, from the beginning of the load; the first is 0.
    pub second: u32,
    /// Orders accepted: their first 201 came in this second.
    pub accepted: u32,
    /// Orders that were first seen completed.
    #[serde(default)]
    pub completed: u32,
    /// Requests that were answered 4xx.
    pub refused: u32,
    /// Requests without an answer, or with another one.
    pub unknown: u32,
    /// Milliseconds from when an order was first asked for until its first 201, all tries and pauses included: the
    /// median of the orders accepted in this second; 0 without any.
    pub p50_ms: f64,
    /// The same, 99 %.
    pub p99_ms: f64,
    /// Streams that were open at the end of this second.
    #[serde(default)]
    pub open_streams: u32,
}

/// Milliseconds of all accepted orders, measured as in [`Second`]; all 0 without any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Counts while a load goes on.
#[derive(Default)]
pub(super) struct Timeline {
    /// `None` until the load begins: what prepares it is not counted.
    begun: Option<Instant>,
    seconds: Vec<Counted>,
    open_streams: u32,
}

#[derive(Default)]
struct Counted {
    completed: u32,
    refused: u32,
    unknown: u32,
    open_streams: u32,
    /// Microseconds, one for each accepted order.
    accepted: Vec<u32>,
}

impl Timeline {
    /// Second 0 begins now.
    pub(super) fn begin(&mut self) {
        self.begun = Some(Instant::now());
        self.seconds.clear();
    }

    pub(super) fn accepted(&mut self, asked: Instant) {
        let micros = u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.count(|second| second.accepted.push(micros));
    }

    pub(super) fn completed(&mut self) {
        self.count(|second| second.completed += 1);
    }

    pub(super) fn refused(&mut self) {
        self.count(|second| second.refused += 1);
    }

    pub(super) fn unknown(&mut self) {
        self.count(|second| second.unknown += 1);
    }

    /// A stream was opened, or one that was open has ended.
    pub(super) fn stream(&mut self, opened: bool) {
        let open = &mut self.open_streams;
        *open = if opened { *open + 1 } else { open.saturating_sub(1) };
        self.count(|_| ());
    }

    fn count(&mut self, change: impl FnOnce(&mut Counted)) {
        let Some(begun) = self.begun else { return };
        let second = begun.elapsed().as_secs() as usize;
        if second < MOST_SECONDS {
            self.fill(second + 1);
            let open = self.open_streams;
            if let Some(counted) = self.seconds.get_mut(second) {
                counted.open_streams = open;
                change(counted);
            }
        }
    }

    /// In a second without news the streams are those of the second before.
    fn fill(&mut self, seconds: usize) {
        while self.seconds.len() < seconds {
            let open_streams = self.seconds.last().map_or(0, |last| last.open_streams);
            self.seconds.push(Counted { open_streams, ..Counted::default() });
        }
    }

    /// Every second so far, also those in which nothing happened.
    pub(super) fn seconds(&mut self) -> Vec<Second> {
        self.count(|_| ());
        let told = self.seconds.iter_mut().zip(0..).map(|(counted, second)| {
            counted.accepted.sort_unstable();
            Second {
                second,
                accepted: counted.accepted.len() as u32,
                completed: counted.completed,
                refused: counted.refused,
                unknown: counted.unknown,
                p50_ms: quantile(&counted.accepted, 0.50),
                p99_ms: quantile(&counted.accepted, 0.99),
                open_streams: counted.open_streams,
            }
        });
        told.collect()
    }

    /// Over the whole load.
    pub(super) fn quantiles(&self) -> Quantiles {
        let mut all: Vec<u32> =
            self.seconds.iter().flat_map(|second| second.accepted.iter().copied()).collect();
        all.sort_unstable();
        Quantiles { p50_ms: quantile(&all, 0.50), p99_ms: quantile(&all, 0.99), max_ms: quantile(&all, 1.0) }
    }
}

/// The nearest rank of sorted microseconds, in milliseconds.
fn quantile(sorted: &[u32], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |micros| f64::from(*micros) / 1e3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let sorted: Vec<u32> = (1..=100).map(|millis| millis * 1_000).collect();
        assert_eq!(quantile(&sorted, 0.50), 50.0);
        assert_eq!(quantile(&sorted, 0.99), 99.0);
        assert_eq!(quantile(&sorted, 1.0), 100.0);
        assert_eq!(quantile(&sorted[..1], 0.99), 1.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn what_happens_is_counted_in_its_second() {
        let mut timeline = Timeline::default();
        timeline.refused();
        timeline.stream(true);
        assert_eq!(timeline.seconds(), [], "the load has not begun");
        let ago = |seconds| Some(Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap());
        timeline.begin();
        timeline.begun = ago(1);
        timeline.unknown();
        timeline.stream(true);
        timeline.begun = ago(3);
        timeline.refused();
        timeline.completed();
        timeline.accepted(Instant::now().checked_sub(Duration::from_millis(250)).unwrap());
        let seconds = timeline.seconds();
        let told: Vec<_> = seconds
            .iter()
            .map(|s| (s.second, s.accepted, s.completed, s.refused, s.unknown, s.open_streams))
            .collect();
        assert_eq!(told, [(0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 1, 2), (2, 0, 0, 0, 0, 2), (3, 1, 1, 1, 0, 2)]);
        assert!((250.0..2_000.0).contains(&seconds[3].p50_ms), "{seconds:?}");
        assert_eq!(timeline.quantiles().max_ms, seconds[3].p99_ms);
    }
}
