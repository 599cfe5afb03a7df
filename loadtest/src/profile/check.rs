//! From TOML to a profile. Everything that is wrong is told with its line, and with what there is instead.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, de::DeserializeOwned};
use toml::{Spanned, Table, Value};

use super::model::{Baskets, Journey, Load, Phase, Profile, Rate, Shape, Step};
use crate::{report::objectives, streams::Transport};

/// The most seconds of a phase: a week.
const LONGEST: f64 = 7.0 * 24.0 * 3600.0;

/// What is wrong, and where.
#[derive(Debug, PartialEq)]
pub struct ProfileError {
    line: Option<usize>,
    place: String,
    what: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    about: String,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default = "default_customers")]
    customers: Spanned<u32>,
    #[serde(default)]
    baskets: Option<Spanned<RawBaskets>>,
    phase: Vec<Spanned<RawPhase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawBaskets {
    zipf: f64,
    lines: (usize, usize),
    pieces: (u32, u32),
    products: usize,
    restock: u32,
    payment: String,
}

impl Default for RawBaskets {
    fn default() -> Self {
        Self {
            zipf: 0.9,
            lines: (1, 8),
            pieces: (1, 3),
            products: 5_000,
            restock: 1_000_000,
            payment: "tok_visa".to_owned(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPhase {
    name: String,
    seconds: f64,
    #[serde(default)]
    warm_up: f64,
    closed: Option<RawClosed>,
    open: Option<Spanned<Table>>,
    #[serde(default)]
    replay: bool,
    #[serde(default)]
    sets_peak: bool,
    #[serde(default = "yes")]
    settle: bool,
    tries: Option<u32>,
    #[serde(default = "half_a_minute")]
    final_within: f64,
    #[serde(default)]
    streams: u32,
    #[serde(default)]
    journey: Vec<RawJourney>,
    #[serde(default)]
    objectives: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClosed {
    clients: u32,
    #[serde(default)]
    ramp_up: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJourney {
    name: Option<String>,
    #[serde(default = "whole")]
    share: f64,
    steps: Vec<Spanned<Table>>,
}

fn one() -> u64 {
    1
}
fn default_customers() -> Spanned<u32> {
    Spanned::new(0..0, 32)
}
fn yes() -> bool {
    true
}
fn half_a_minute() -> f64 {
    30.0
}
fn whole() -> f64 {
    1.0
}

/// Reads and checks.
pub fn parse(name: &str, text: &str) -> Result<Profile, ProfileError> {
    let raw: RawProfile = toml::from_str(text).map_err(|error| ProfileError {
        line: error.span().map(|span| line(text, span.start)),
        place: String::new(),
        what: error.message().to_owned(),
    })?;
    let check = Check { text };
    let customers = *raw.customers.get_ref();
    if !(1..=10_000).contains(&customers) {
        return Err(check.wrong(raw.customers.span().start, "", "customers: must be 1 to 10000"));
    }
    let baskets = check.baskets(raw.baskets)?;
    let mut phases: Vec<Phase> = Vec::new();
    for phase in raw.phase {
        let at = phase.span().start;
        let phase = check.phase(phase)?;
        if phases.iter().any(|other| other.name == phase.name) {
            return Err(check.wrong(
                at,
                &format!("phase {}", phase.name),
                "there is another phase of this name",
            ));
        }
        phases.push(phase);
    }
    if phases.is_empty() {
        return Err(check.wrong(0, "", "a profile needs a phase"));
    }
    Ok(Profile { name: name.to_owned(), about: raw.about, seed: raw.seed, customers, baskets, phases })
}

struct Check<'a> {
    text: &'a str,
}

impl Check<'_> {
    fn wrong(&self, at: usize, place: &str, what: impl Into<String>) -> ProfileError {
        ProfileError { line: Some(line(self.text, at)), place: place.to_owned(), what: what.into() }
    }

    fn baskets(&self, raw: Option<Spanned<RawBaskets>>) -> Result<Baskets, ProfileError> {
        let raw = raw.unwrap_or_else(|| Spanned::new(0..0, RawBaskets::default()));
        let at = raw.span().start;
        let raw = raw.into_inner();
        let right = [
            ((0.0..=5.0).contains(&raw.zipf), "zipf: must be 0 to 5"),
            (
                raw.lines.0 >= 1 && raw.lines.0 <= raw.lines.1,
                "lines: must be two numbers from 1, the smaller one first",
            ),
            (raw.lines.1 <= 1_000, "lines: an order has at most 1000"),
            (
                raw.pieces.0 >= 1 && raw.pieces.0 <= raw.pieces.1,
                "pieces: must be two numbers from 1, the smaller one first",
            ),
            (raw.pieces.1 <= 1_000_000, "pieces: a line has at most 1000000"),
            (raw.products >= 1, "products: must be at least 1"),
            (raw.restock >= 1, "restock: must be at least 1"),
        ];
        if let Some((_, what)) = right.iter().find(|(right, _)| !right) {
            return Err(self.wrong(at, "baskets", *what));
        }
        Ok(Baskets {
            zipf: raw.zipf,
            lines: raw.lines,
            pieces: raw.pieces,
            products: raw.products,
            restock: raw.restock,
            payment: raw.payment,
        })
    }

    fn phase(&self, raw: Spanned<RawPhase>) -> Result<Phase, ProfileError> {
        let at = raw.span().start;
        let raw = raw.into_inner();
        let place = format!("phase {}", raw.name);
        let right = [
            (raw.seconds > 0.0 && raw.seconds <= LONGEST, "seconds: must be above 0, and a week at most"),
            (raw.warm_up >= 0.0 && raw.warm_up < raw.seconds, "warm_up: must be shorter than the phase"),
            (raw.tries.is_none_or(|tries| (1..=100).contains(&tries)), "tries: must be 1 to 100"),
            (raw.final_within > 0.0 && raw.final_within <= LONGEST, "final_within: must be above 0"),
            (raw.streams <= 50_000, "streams: must be 50000 at most"),
            (
                raw.settle || !raw.sets_peak,
                "sets_peak: with `settle = false` its orders are not known when the next phase needs the peak",
            ),
            (
                raw.replay == raw.journey.is_empty(),
                "needs a [[phase.journey]], or `replay = true`, and not both",
            ),
        ];
        if let Some((_, what)) = right.iter().find(|(right, _)| !right) {
            return Err(self.wrong(at, &place, *what));
        }
        let load = match (raw.closed, raw.open, raw.replay) {
            (Some(closed), None, false) => {
                if !(1..=50_000).contains(&closed.clients) {
                    return Err(self.wrong(at, &place, "clients: must be 1 to 50000"));
                }
                if !(0.0..=raw.seconds).contains(&closed.ramp_up) {
                    return Err(self.wrong(at, &place, "ramp_up: must be within the phase"));
                }
                Load::Closed { clients: closed.clients, ramp_up: closed.ramp_up }
            }
            (None, Some(open), false) => self.open(open, &place)?,
            (None, None, true) => Load::Replay,
            _ => return Err(self.wrong(at, &place, "needs exactly one of closed, open and replay")),
        };
        for objective in raw.objectives.keys() {
            objectives::check(objective)
                .map_err(|what| self.wrong(at, &format!("{place}, objectives"), what))?;
        }
        let mut journeys = Vec::new();
        for (number, journey) in raw.journey.into_iter().enumerate() {
            let place = format!("{place}, journey {}", number + 1);
            journeys.push(self.journey(journey, at, &place, number)?);
        }
        if !journeys.is_empty() && journeys.iter().map(|journey| journey.share).sum::<f64>() <= 0.0 {
            return Err(self.wrong(at, &place, "no journey has a share"));
        }
        let tries = raw.tries.unwrap_or(if matches!(load, Load::Open { .. }) { 1 } else { 10 });
        Ok(Phase {
            name: raw.name,
            seconds: raw.seconds,
            warm_up: raw.warm_up,
            load,
            sets_peak: raw.sets_peak,
            settle: raw.settle,
            tries,
            final_within: raw.final_within,
            streams: raw.streams,
            journeys,
            objectives: raw.objectives,
        })
    }

    fn open(&self, raw: Spanned<Table>, place: &str) -> Result<Load, ProfileError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Flat {
            rate: f64,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ramp {
            from: f64,
            to: f64,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stairs {
            from: f64,
            to: f64,
            steps: u32,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Spike {
            rate: f64,
            to: f64,
            at: f64,
            lasts: f64,
        }
        const SCHEDULES: [&str; 5] = ["constant", "poisson", "ramp", "step", "spike"];

        let at = raw.span().start;
        let place = format!("{place}, open");
        let mut table = raw.into_inner();
        let schedule = self.name(&mut table, "schedule", at, &place)?;
        let unit = match table.remove("unit") {
            None => Rate::PerSecond,
            Some(Value::String(unit)) if unit == "per second" => Rate::PerSecond,
            Some(Value::String(unit)) if unit == "peak" => Rate::Peak,
            Some(_) => return Err(self.wrong(at, &place, r#"unit: must be "per second" or "peak""#)),
        };
        let even = match table.remove("even") {
            None => schedule == "constant",
            Some(Value::Boolean(even)) => even,
            Some(_) => return Err(self.wrong(at, &place, "even: must be true or false")),
        };
        let place = format!("{place} ({schedule})");
        let shape = match schedule.as_str() {
            "constant" | "poisson" => {
                let Flat { rate } = self.fields(table, at, &place)?;
                Shape::Flat { rate }
            }
            "ramp" => {
                let Ramp { from, to } = self.fields(table, at, &place)?;
                Shape::Ramp { from, to }
            }
            "step" => {
                let Stairs { from, to, steps } = self.fields(table, at, &place)?;
                if !(2..=1_000).contains(&steps) {
                    return Err(self.wrong(at, &place, "steps: must be 2 to 1000"));
                }
                Shape::Step { from, to, steps }
            }
            "spike" => {
                let Spike { rate, to, at: start, lasts } = self.fields(table, at, &place)?;
                if start < 0.0 || lasts <= 0.0 {
                    return Err(self.wrong(at, &place, "at and lasts are seconds after the beginning"));
                }
                Shape::Spike { rate, to, at: start, lasts }
            }
            other => {
                let what = format!("there is no schedule {other}{}", instead(other, &SCHEDULES));
                return Err(self.wrong(at, &place, what));
            }
        };
        let rates = match shape {
            Shape::Flat { rate } => [rate, rate],
            Shape::Ramp { from, to } | Shape::Step { from, to, .. } => [from, to],
            Shape::Spike { rate, to, .. } => [rate, to],
        };
        if rates.iter().any(|rate| !(0.0..=1e6).contains(rate)) || rates == [0.0, 0.0] {
            return Err(self.wrong(at, &place, "rates must be above 0 and 1000000 at most"));
        }
        Ok(Load::Open { shape, unit, even })
    }

    fn journey(
        &self,
        raw: RawJourney,
        at: usize,
        place: &str,
        number: usize,
    ) -> Result<Journey, ProfileError> {
        if !raw.share.is_finite() || raw.share < 0.0 {
            return Err(self.wrong(at, place, "share: must not be negative"));
        }
        if raw.steps.is_empty() {
            return Err(self.wrong(at, place, "needs a step"));
        }
        let mut steps: Vec<Step> = Vec::new();
        for (number, raw) in raw.steps.into_iter().enumerate() {
            let (at, place) = (raw.span().start, format!("{place}, step {}", number + 1));
            let step = self.step(raw.into_inner(), at, &place)?;
            if step.needs_an_order() && !steps.iter().any(Step::orders) {
                return Err(self.wrong(at, &place, "no step before it places an order"));
            }
            steps.push(step);
        }
        let name = raw.name.unwrap_or_else(|| format!("journey {}", number + 1));
        Ok(Journey { name, share: raw.share, steps })
    }

    fn step(&self, mut table: Table, at: usize, place: &str) -> Result<Step, ProfileError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct None {}
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pages {
            pages: Option<u32>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Times {
            times: Option<u32>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Order {
            payment: Option<String>,
            wait: Option<u32>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Hot {
            products: Option<usize>,
            pieces: Option<u32>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Refund {
            amount: Option<i64>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Follow {
            by: Option<Transport>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Think {
            seconds: (f64, f64),
        }
        const STEPS: [&str; 13] = [
            "browse", "search", "product", "order", "hot", "retry", "cancel", "refund", "follow", "login",
            "me", "history", "think",
        ];

        let name = self.name(&mut table, "do", at, place)?;
        let place = &format!("{place} ({name})");
        let step = match name.as_str() {
            "browse" => {
                let Pages { pages } = self.fields(table, at, place)?;
                Step::Browse { pages: self.at_least_one(pages, "pages", at, place)? }
            }
            "product" => {
                let Times { times } = self.fields(table, at, place)?;
                Step::Product { times: self.at_least_one(times, "times", at, place)? }
            }
            "order" => {
                let Order { payment, wait } = self.fields(table, at, place)?;
                Step::Order { payment, wait }
            }
            "hot" => {
                let Hot { products, pieces } = self.fields(table, at, place)?;
                let pieces = self.at_least_one(pieces, "pieces", at, place)?;
                if pieces > 1_000_000 {
                    return Err(self.wrong(at, place, "pieces: a line has at most 1000000"));
                }
                Step::Hot { products: self.at_least_one(products, "products", at, place)?, pieces }
            }
            "refund" => {
                let Refund { amount } = self.fields(table, at, place)?;
                Step::Refund { amount }
            }
            "follow" => {
                let Follow { by } = self.fields(table, at, place)?;
                Step::Follow { by: by.unwrap_or(Transport::Sse) }
            }
            "think" => {
                let Think { seconds: (least, most) } = self.fields(table, at, place)?;
                if !(0.0 <= least && least <= most && most <= LONGEST) {
                    return Err(self.wrong(at, place, "seconds: must be two numbers, the smaller one first"));
                }
                Step::Think { least, most }
            }
            plain => {
                let step = match plain {
                    "search" => Step::Search,
                    "retry" => Step::Retry,
                    "cancel" => Step::Cancel,
                    "login" => Step::Login,
                    "me" => Step::Me,
                    "history" => Step::History,
                    other => {
                        let what = format!("there is no step {other}{}", instead(other, &STEPS));
                        return Err(self.wrong(at, place.trim_end_matches(&format!(" ({name})")), what));
                    }
                };
                let None {} = self.fields(table, at, place)?;
                step
            }
        };
        Ok(step)
    }

    /// One when it is not said. Nothing of something would be a journey that spins without asking for anything.
    fn at_least_one<T: From<u8> + PartialOrd>(
        &self,
        said: Option<T>,
        key: &str,
        at: usize,
        place: &str,
    ) -> Result<T, ProfileError> {
        let number = said.unwrap_or_else(|| T::from(1));
        if number >= T::from(1) {
            Ok(number)
        } else {
            Err(self.wrong(at, place, format!("{key}: must be at least 1")))
        }
    }

    /// Takes the name that says what a table is.
    fn name(&self, table: &mut Table, key: &str, at: usize, place: &str) -> Result<String, ProfileError> {
        match table.remove(key) {
            Some(Value::String(name)) => Ok(name),
            Some(_) => Err(self.wrong(at, place, format!("{key}: must be a name in quotes"))),
            None => Err(self.wrong(at, place, format!("needs `{key} = \"…\"`"))),
        }
    }

    fn fields<T: DeserializeOwned>(&self, table: Table, at: usize, place: &str) -> Result<T, ProfileError> {
        T::deserialize(table).map_err(|error| self.wrong(at, place, error.message().to_owned()))
    }
}

/// What may have been meant, and what there is.
pub fn instead(wrong: &str, there_are: &[&str]) -> String {
    let near = there_are
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let all = there_are.join(", ");
    match near {
        Some((_, name)) => format!("; did you mean {name}? There are: {all}"),
        None => format!("; there are: {all}"),
    }
}

fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
