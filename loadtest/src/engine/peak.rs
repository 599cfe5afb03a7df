//! The highest rate that keeps the objectives: first doubled until one is missed, then halved in between.

/// A search under way. Pure: who asks it makes the load and says whether the objectives were kept.
#[derive(Debug, Clone)]
pub struct Search {
    kept: Option<f64>,
    missed: Option<f64>,
    next: f64,
    exact: f64,
    left: u32,
}

impl Search {
    /// Begins with this rate, and ends when the highest rate is known to this fraction, or after so many windows.
    pub fn new(begin: f64, exact: f64, windows: u32) -> Self {
        Self { kept: None, missed: None, next: begin, exact, left: windows }
    }

    /// The rate to try next, if any.
    pub fn next(&self) -> Option<f64> {
        let narrow = match (self.kept, self.missed) {
            (Some(kept), Some(missed)) => missed - kept <= self.exact * missed,
            // Nothing is kept at any rate worth the name.
            (None, Some(missed)) => missed < 1.0,
            _ => false,
        };
        (self.left > 0 && !narrow).then_some(self.next)
    }

    /// The rate that was to be tried next has kept the objectives, or not.
    pub fn tried(&mut self, kept: bool) {
        self.left = self.left.saturating_sub(1);
        if kept {
            self.kept = Some(self.next);
        } else {
            self.missed = Some(self.next);
        }
        self.next = match (self.kept, self.missed) {
            (Some(kept), None) => kept * 2.0,
            (None, Some(missed)) => missed / 2.0,
            (Some(kept), Some(missed)) => (kept + missed) / 2.0,
            (None, None) => self.next,
        };
    }

    /// The highest rate that has kept the objectives so far.
    pub fn highest(&self) -> Option<f64> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// A queue with one server (M/M/1): its latency grows without bounds as the rate comes near what it can do. Returns
    /// its 99th percentile in seconds.
    fn p99(rate: f64, can_do: f64) -> f64 {
        if rate < can_do { 100f64.ln() / (can_do - rate) } else { f64::INFINITY }
    }

    proptest! {
        #[test]
        fn the_peak_of_a_simulated_server_is_found(can_do in 60.0..50_000.0f64, begin in 1.0..20_000.0f64) {
            let keeps = |rate: f64| p99(rate, can_do) < 0.1;
            // Where 100 ms are just kept.
            let exactly = can_do - 100f64.ln() / 0.1;
            let mut search = Search::new(begin, 0.02, 64);
            let mut windows = 0;
            while let Some(rate) = search.next() {
                search.tried(keeps(rate));
                windows += 1;
            }
            let found = search.highest().unwrap();
            prop_assert!(found <= exactly && found >= exactly * 0.97, "{found} instead of {exactly}");
            prop_assert!(windows <= 30, "{windows} windows");
        }
    }

    #[test]
    fn a_server_that_never_keeps_them_has_no_peak() {
        let mut search = Search::new(1_000.0, 0.05, 64);
        while search.next().is_some() {
            search.tried(false);
        }
        assert_eq!(search.highest(), None);
    }

    #[test]
    fn the_windows_are_bounded() {
        let mut search = Search::new(1.0, 0.0, 5);
        let mut windows = 0;
        while search.next().is_some() {
            search.tried(true);
            windows += 1;
        }
        assert_eq!((windows, search.highest()), (5, Some(16.0)));
    }
}
