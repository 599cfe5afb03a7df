//! How long to wait after failures.

use std::time::Duration;

/// First and longest pause.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Pauses(u32);

impl Pauses {
    /// The pause after one more failure: doubles from the first to the longest, with up to half taken off by chance, so
    /// that a platform's processes do not come back in step.
    pub fn next(&mut self) -> Duration {
        let (first, longest) = BOUNDS;
        let full = first.saturating_mul(1 << self.0.min(10)).min(longest);
        self.0 = self.0.saturating_add(1);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// It went well.
    pub fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_again() {
        let mut pauses = Pauses::default();
        assert!(pauses.next() <= BOUNDS.0);
        for _ in 0..100 {
            assert!(pauses.next() <= BOUNDS.1);
        }
        assert!(pauses.next() >= BOUNDS.1 / 2);
        pauses.reset();
        assert!(pauses.next() <= BOUNDS.0);
    }
}
