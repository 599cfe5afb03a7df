//! What went wrong with a letter, try by try.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many are kept of one letter: the newest.
pub const KEPT: usize = 20;
/// How many characters are kept of an error.
const LONGEST: usize = 2_000;

/// SQL that appends the tries of parameter `$5` to the column `errors`, and keeps the newest.
pub(crate) const APPENDED: &str = "(select coalesce(jsonb_agg(tried order by nth), '[]') from
        (select tried, nth from jsonb_array_elements(errors || $5::jsonb) with ordinality as every (tried, nth)
         order by nth desc limit 20) newest)";

/// Tries in a row that ended alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tried {
    /// When the last of them ended.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How many they were.
    pub attempts: u32,
    /// Why they failed.
    pub error: String,
}

/// All tries of an event or a message, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tries(Vec<Tried>);

impl Tries {
    /// One try that failed now.
    pub(crate) fn one(error: &str) -> Self {
        let mut tries = Self::default();
        tries.note(error);
        tries
    }

    /// Notes a try that failed now.
    pub(crate) fn note(&mut self, error: &str) {
        let (error, at) = (bounded(error), Timestamp::now());
        match self.0.last_mut() {
            Some(last) if last.error == error => (last.at, last.attempts) = (at, last.attempts + 1),
            _ => self.0.push(Tried { at, attempts: 1, error }),
        }
        if self.0.len() > KEPT {
            self.0.remove(0);
        }
    }

    /// Why the last one failed.
    pub(crate) fn error(&self) -> &str {
        self.0.last().map_or("", |last| &last.error)
    }

    /// For a column of type `jsonb`.
    pub(crate) fn to_json(&self) -> String {
        json(&self.0)
    }
}

/// As they are stored, and published.
pub(crate) fn json(tries: &[Tried]) -> String {
    serde_json::to_string(tries).unwrap_or_else(|_| "[]".to_owned())
}

/// Text that the database takes: bounded, and without the one character that it has no place for.
fn bounded(error: &str) -> String {
    error.chars().take(LONGEST).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_that_end_alike_are_counted_and_the_newest_are_kept() {
        let mut tries = Tries::one("away");
        tries.note("away");
        tries.note("too\0hot");
        let told: Vec<_> = tries.0.iter().map(|tried| (tried.attempts, tried.error.as_str())).collect();
        assert_eq!(told, [(2, "away"), (1, "too\u{fffd}hot")]);
        (0..50).for_each(|n| tries.note(&n.to_string()));
        assert_eq!((tries.0.len(), tries.error()), (KEPT, "49"));
        tries.note(&"x".repeat(5_000));
        assert_eq!(tries.error().len(), LONGEST);
    }
}
