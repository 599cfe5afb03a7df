//! The test tokens: what happens to whom.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;

/// How a means of payment behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// `tok_visa`, `tok_mastercard`, `tok_amex`: succeeds.
    Good,
    /// `tok_chargeDeclined` and others: is refused, for a reason.
    Declined {
        /// For programs.
        code: &'static str,
        /// For people.
        message: &'static str,
    },
    /// `tok_timeout`: is charged, and the answer never comes.
    Timeout,
    /// `tok_flaky`: fails twice for each key, then succeeds.
    Flaky,
    /// `tok_slow`: succeeds after [`SLOW`].
    Slow,
}

/// How long a slow card takes.
pub const SLOW: Duration = Duration::from_secs(2);
/// How often a flaky one fails.
pub const FLAKY_FAILURES: u8 = 2;

impl Card {
    /// The card behind a token; `None` for a token that nobody has made.
    pub fn of(token: &str) -> Option<Self> {
        Some(match token {
            "tok_visa" | "tok_visa_debit" | "tok_mastercard" | "tok_amex" => Card::Good,
            "tok_chargeDeclined" => {
                Card::Declined { code: "card_declined", message: "Your card was declined." }
            }
            "tok_insufficient_funds" | "tok_chargeDeclinedInsufficientFunds" => {
                Card::Declined { code: "insufficient_funds", message: "Your card has insufficient funds." }
            }
            "tok_chargeDeclinedExpiredCard" => {
                Card::Declined { code: "expired_card", message: "Your card has expired." }
            }
            "tok_timeout" => Card::Timeout,
            "tok_flaky" => Card::Flaky,
            "tok_slow" => Card::Slow,
            _ => return None,
        })
    }
}

/// How often a flaky card has failed, by idempotency key. Bounded: the oldest keys are forgotten.
#[derive(Default)]
pub(super) struct FlakyKeys {
    keys: Mutex<(HashMap<String, u8>, VecDeque<String>)>,
}

const KEYS_KEPT: usize = 10_000;

impl FlakyKeys {
    /// Whether the charge under this key fails this time.
    pub fn fails(&self, key: &str) -> bool {
        let (counts, order) = &mut *self.keys.lock();
        let count = counts.entry(key.to_owned()).or_insert_with(|| {
            order.push_back(key.to_owned());
            0
        });
        let fails = *count < FLAKY_FAILURES;
        *count = count.saturating_add(1);
        while order.len() > KEYS_KEPT {
            if let Some(oldest) = order.pop_front() {
                counts.remove(&oldest);
            }
        }
        fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaky_card_fails_twice_for_each_key() {
        let keys = FlakyKeys::default();
        let tries = |key: &str| (0..4).map(|_| keys.fails(key)).collect::<Vec<_>>();
        assert_eq!(tries("one"), [true, true, false, false]);
        assert_eq!(tries("two"), [true, true, false, false]);
    }

    #[test]
    fn an_unknown_token_is_no_card() {
        assert_eq!(Card::of("tok_visa"), Some(Card::Good));
        assert_eq!(Card::of("4242424242424242"), None);
    }
}
