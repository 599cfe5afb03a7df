//! What an experiment must hold beyond what always must: named expectations with a bound each.
//!
//! Each is a figure that the run measures, and a bound. A figure that was not measured does not hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::span;

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Written as a time (`60s`), measured in seconds.
    Seconds,
    /// From 0 to 1.
    Share,
    /// A factor.
    Ratio,
    /// A whole number.
    Count,
    /// `true`; measured as 1 or 0.
    Truth,
}

/// How a figure is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// No more than this.
    AtMost,
    /// No less than this.
    AtLeast,
    /// This.
    Exactly,
}

/// An expectation that experiments may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// Its field in `[holds]`, and the name of its figure.
    pub name: &'static str,
    /// How it is compared.
    pub bound: Bound,
    /// What it is measured in.
    pub unit: Unit,
    /// What is measured.
    pub about: &'static str,
    /// Whether a load of half the length comes to about half of it.
    pub grows: bool,
}

const fn known(name: &'static str, bound: Bound, unit: Unit, about: &'static str) -> Known {
    Known { name, bound, unit, about, grows: false }
}

/// More and more of it while the load goes on.
const fn growing(name: &'static str, unit: Unit, about: &'static str) -> Known {
    Known { grows: true, ..known(name, AtLeast, unit, about) }
}

use Bound::{AtLeast, AtMost, Exactly};
use Unit::{Count, Ratio, Seconds, Share, Truth};

/// Every expectation there is.
pub const EXPECTATIONS: &[Known] = &[
    growing("accepted_min", Count, "orders that were accepted while the load went on"),
    known(
        "accepted_during_fault_min",
        AtLeast,
        Share,
        "orders accepted per second while a fault lasted, against before the first",
    ),
    growing("refused_during_fault_min", Count, "requests refused while a fault lasted"),
    growing("unanswered_during_fault_min", Count, "requests that had no answer while a fault lasted"),
    growing("turned_away_min", Count, "requests that were told to come again (429, 503)"),
    growing("offered_min", Count, "orders that were asked for while the load went on"),
    known("late_max", AtMost, Share, "visits that had to wait because too many were under way"),
    growing("standstill_min", Seconds, "the longest time without a completed order while a fault lasted"),
    growing("rounds_min", Count, "rounds in which everybody was answered and every order became final"),
    known("max_unknown_share", AtMost, Share, "operations whose outcome stayed unknown, of all"),
    known("max_refused_share", AtMost, Share, "operations refused, of all"),
    known("only_retriable", Exactly, Truth, "every request without an answer was told to come again"),
    known("p99_ratio_max", AtMost, Ratio, "p99 of answers while a fault lasted, against before the first"),
    known(
        "pause_p99_max",
        AtMost,
        Seconds,
        "p99, over the faults, of the longest time without an accepted order",
    ),
    known(
        "recovered_within",
        AtMost,
        Seconds,
        "from the end of the last fault until a second with half as many accepted orders as before the first",
    ),
    known("each_failpoint_hit", Exactly, Truth, "every failpoint killed the process that had it armed"),
    known(
        "all_final_within",
        AtMost,
        Seconds,
        "from the end of the load until every accepted order was final",
    ),
    known(
        "drained_within",
        AtMost,
        Seconds,
        "from the end of the last fault until everything committed was published and handled",
    ),
    known(
        "breaker_open_within",
        AtMost,
        Seconds,
        "from the begin of the provider's fault until the breaker was open",
    ),
    known(
        "probes_max",
        AtMost,
        Count,
        "requests that the provider got in a second while the breaker was open",
    ),
    known("dead_letters", Exactly, Count, "dead letters and unreadable messages before the redrive"),
    known("dead_letters_min", AtLeast, Count, "dead letters and unreadable messages before the redrive"),
    known("redriven", Exactly, Truth, "every dead letter that can be handled was, in the order of its key"),
    known("exactly_sold", Exactly, Count, "pieces sold in each round; the worst round counts"),
    growing("expired_min", Count, "orders that a client saw cancelled by their deadline"),
    known(
        "clock_skew_min",
        AtLeast,
        Seconds,
        "the farthest that an event's time was from when a client saw it",
    ),
    known("early_expiries", Exactly, Count, "reservations and deadlines that ended before their time"),
    known("late_expiries", Exactly, Count, "reservations and deadlines that ended long after their time"),
    known("open_streams_min", AtLeast, Count, "the most streams that were open at once"),
    growing("frames_min", Count, "messages that streams have told"),
    known(
        "streams_p99_max",
        AtMost,
        Seconds,
        "p99 from an event's commit to the frame at a client that reads",
    ),
    growing("actor_restarts_min", Count, "actors that were restarted"),
    growing("process_starts_min", Count, "processes that were started again"),
    known("same_answer", Exactly, Truth, "every request under one key got the same answer"),
];

/// What must hold, with its bounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Holds(Vec<(Known, f64)>);

/// An expectation and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// Its name in `[holds]`.
    pub name: String,
    /// What is measured.
    pub about: String,
    /// How it is compared.
    pub bound: Bound,
    /// What both numbers are measured in.
    pub unit: Unit,
    /// The bound.
    pub expected: f64,
    /// The figure; `None` when it was not measured.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
}

impl Holds {
    /// Reads a `[holds]` table.
    pub(super) fn read(table: &toml::Table) -> Result<Self, String> {
        let mut holds = Vec::new();
        for (name, value) in table {
            let Some(known) = EXPECTATIONS.iter().find(|known| known.name == name) else {
                let names: Vec<&str> = EXPECTATIONS.iter().map(|known| known.name).collect();
                return Err(format!("`{name}` is none of: {}", names.join(", ")));
            };
            let bound = known.read(value).map_err(|problem| format!("`{name}`: {problem}"))?;
            holds.push((*known, bound));
        }
        Ok(Self(holds))
    }

    /// Takes an expectation away; `false` when it was not there.
    pub(super) fn without(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| known.name != name);
        self.0.len() < before
    }

    /// For a load of this share of its length. What is longer has no more faults.
    pub(super) fn scale(&mut self, share: f64) {
        for (_, bound) in self.0.iter_mut().filter(|(known, _)| known.grows) {
            *bound = (*bound * share.min(1.0)).floor();
        }
    }

    /// Takes these bounds in place of its own.
    pub(super) fn replace(&mut self, others: &Self) {
        self.0.retain(|(known, _)| others.bound(known.name).is_none());
        self.0.extend(&others.0);
    }

    /// The bound of an expectation, if it is one of these.
    pub fn bound(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known.name == name).map(|(_, bound)| *bound)
    }

    /// The names of what must hold.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|(known, _)| known.name)
    }

    /// Compares what was measured, by name.
    pub fn judge(&self, measured: &BTreeMap<String, f64>) -> Vec<Expectation> {
        let judged = self.0.iter().map(|(known, expected)| {
            let measured = measured.get(known.name).copied().filter(|figure| !figure.is_nan());
            let holds = measured.is_some_and(|figure| match known.bound {
                AtMost => figure <= *expected,
                AtLeast => figure >= *expected,
                Exactly => (figure - expected).abs() < 1e-9,
            });
            Expectation {
                name: known.name.to_owned(),
                about: known.about.to_owned(),
                bound: known.bound,
                unit: known.unit,
                expected: *expected,
                measured,
                holds,
            }
        });
        judged.collect()
    }
}

impl Known {
    fn read(&self, value: &toml::Value) -> Result<f64, String> {
        let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        match (self.unit, value, number) {
            (Seconds, toml::Value::String(text), _) => Ok(span::parse(text)?.as_secs_f64()),
            (Seconds, ..) => Err("is a time, such as \"60s\"".to_owned()),
            (Truth, toml::Value::Boolean(true), _) => Ok(1.0),
            (Truth, ..) => Err("can only be true; leave it away where it need not hold".to_owned()),
            (Share, _, Some(share)) if (0.0..=1.0).contains(&share) => Ok(share),
            (Share, ..) => Err("is a share from 0 to 1".to_owned()),
            (Ratio, _, Some(ratio)) if ratio > 0.0 && ratio.is_finite() => Ok(ratio),
            (Ratio, ..) => Err("is a number above 0".to_owned()),
            (Count, toml::Value::Integer(count), _) if *count >= 0 => Ok(*count as f64),
            (Count, ..) => Err("is a whole number, 0 or more".to_owned()),
        }
    }
}

impl Expectation {
    /// A figure in its unit.
    pub fn figure(&self, figure: f64) -> String {
        match self.unit {
            Seconds => format!("{figure:.1} s"),
            Share => format!("{:.2} %", figure * 100.0),
            Ratio => format!("{figure:.2}"),
            Count => format!("{figure:.0}"),
            Truth if figure == 1.0 => "yes".to_owned(),
            Truth => "no".to_owned(),
        }
    }

    /// What was expected, in words.
    pub fn expected_words(&self) -> String {
        let figure = self.figure(self.expected);
        match self.bound {
            AtMost => format!("≤ {figure}"),
            AtLeast => format!("≥ {figure}"),
            Exactly => figure,
        }
    }

    /// What was measured, in words.
    pub fn measured_words(&self) -> String {
        self.measured.map_or_else(|| "not measured".to_owned(), |figure| self.figure(figure))
    }
}
