//! The retry budget: every call pays in a little, every retry takes out one.
//!
//! Bounds amplification: over any stretch, retries ≤ burst + ratio × calls. A fixed number of retries per call
//! cannot promise that: when everything fails, it multiplies the load just when the callee can bear least.

use std::sync::atomic::{AtomicU64, Ordering};

/// One retry, in the budget's unit.
const ONE: u64 = 1_000;

/// A budget of retries, shared by all calls of one kind.
#[derive(Debug)]
pub struct RetryBudget {
    balance: AtomicU64,
    per_call: u64,
    most: u64,
}

impl RetryBudget {
    /// A full budget: `ratio` is what one call pays in, `burst` what it holds at most.
    pub fn new(ratio: f64, burst: u32) -> Self {
        let most = u64::from(burst.max(1)) * ONE;
        // `as` saturates and takes NaN as 0, which is the safe side here.
        let per_call = (ratio.clamp(0.0, 10.0) * ONE as f64) as u64;
        RetryBudget { balance: AtomicU64::new(u64::from(burst) * ONE), per_call, most }
    }

    /// Pays in for one call.
    pub fn deposit(&self) {
        // Full is the usual state: one load, no contended write.
        if self.balance.load(Ordering::Relaxed) >= self.most {
            return;
        }
        let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
            Some(balance.saturating_add(self.per_call).min(self.most))
        });
    }

    /// Takes out one retry, if there is one.
    pub fn withdraw(&self) -> bool {
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| balance.checked_sub(ONE))
            .is_ok()
    }
}
