//! When an instance is called healthy, and when not any more.
//!
//! One answer that fails may be chance; two in a row are not. One good answer is enough to come back: whoever answers well
//! can serve.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It has not been asked yet, or not often enough to tell.
    Unknown,
    /// It is ready.
    Healthy,
    /// It has not answered well, twice in a row at least.
    Unhealthy,
}

/// A text that is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a health; known are healthy, unhealthy and unknown")]
pub struct UnknownHealth;

impl Health {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }
    }
}

impl FromStr for Health {
    type Err = UnknownHealth;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Health::Unknown, Health::Healthy, Health::Unhealthy];
        all.into_iter().find(|health| health.as_str() == text).ok_or(UnknownHealth)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many failures in a row make an instance unhealthy.
const FAILURES: u32 = 2;
/// The pause before a first failure is looked at again, at most.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest pause between two questions to who does not answer.
const LONGEST: Duration = Duration::from_secs(8);

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Failures in a row, this one included.
    pub failures: u32,
    /// How the instance is now.
    pub health: Health,
    /// When to ask again.
    pub again: Duration,
}

/// What follows when an instance that was like this has answered well, or has not.
pub fn probed(health: Health, failures: u32, well: bool, every: Duration) -> Probe {
    if well {
        return Probe { failures: 0, health: Health::Healthy, again: every };
    }
    let failures = failures.saturating_add(1);
    if failures < FAILURES {
        return Probe { failures, health, again: every.min(AGAIN) };
    }
    let doubled = every.saturating_mul(1 << (failures - FAILURES).min(8));
    Probe { failures, health: Health::Unhealthy, again: doubled.min(LONGEST.max(every)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    #[test]
    fn two_failures_are_needed_and_one_good_answer() {
        let first = probed(Health::Healthy, 0, false, EVERY);
        assert_eq!((first.health, first.again), (Health::Healthy, AGAIN));
        let second = probed(first.health, first.failures, false, EVERY);
        assert_eq!((second.health, second.again), (Health::Unhealthy, EVERY));
        assert_eq!(probed(second.health, second.failures, true, EVERY).health, Health::Healthy);
        assert_eq!(probed(Health::Unknown, 0, false, EVERY).health, Health::Unknown);
    }

    proptest! {
        #[test]
        fn health_tells_of_the_newest_answers(answers in prop::collection::vec(any::<bool>(), 1..40)) {
            let (mut health, mut failures) = (Health::Unknown, 0);
            for well in &answers {
                let next = probed(health, failures, *well, EVERY);
                prop_assert!(next.again <= LONGEST && !next.again.is_zero());
                (health, failures) = (next.health, next.failures);
            }
            let bad = answers.iter().rev().take_while(|well| !**well).count();
            match bad {
                0 => prop_assert_eq!(health, Health::Healthy),
                1 => prop_assert_eq!(health == Health::Unknown, answers.len() == 1),
                _ => prop_assert_eq!(health, Health::Unhealthy),
            }
        }
    }
}
