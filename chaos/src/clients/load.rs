//! The `[load]` table of an experiment: which journey, how much of it, and how its clients behave.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What clients do, as an experiment says it. Every field but `journey` has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Which journey.
    pub journey: Journey,
    /// `orders`: visits begun each second, whatever becomes of those before (an open loop). `streams`: orders placed each
    /// second at most. More than 0, at most 10,000; 50 by default.
    #[serde(default = "rate")]
    pub rate: f64,
    /// Products that all orders are made of, so that they contend; 1 to 1,000, 10 by default. `last_pieces` makes one for
    /// each round.
    #[serde(default = "products")]
    pub products: u32,
    /// Pieces of each product that are received before the load begins; 100,000 by default.
    #[serde(default = "stock")]
    pub stock: u32,
    /// Buyers, each with a token; 1 to 1,000, 24 by default.
    #[serde(default = "buyers")]
    pub buyers: u32,
    /// How orders are paid: the provider's test tokens, each with its weight. Mostly `tok_visa` by default; `streams` pays
    /// with `tok_slow` and `last_pieces` with `tok_visa` whatever this says.
    #[serde(default = "payments")]
    pub payments: BTreeMap<String, f64>,

    /// `orders`: the share of orders whose request is sent again with its key once it was accepted; 0.05.
    #[serde(default = "few")]
    pub repeat_later: f64,
    /// `orders`: the share of orders whose request is sent twice at once with one key; 0.05.
    #[serde(default = "few")]
    pub repeat_at_once: f64,
    /// `orders`: the share of orders after which another body comes with the same key, which must be refused; 0.02.
    #[serde(default = "very_few")]
    pub other_body: f64,
    /// `orders`: the share of orders that are cancelled at once; 0.05. The four shares `cancel_now`, `cancel_later`, `refund`
    /// and `read` are of different orders: together at most 1.
    #[serde(default = "few")]
    pub cancel_now: f64,
    /// `orders`: the share of orders that are cancelled within a second; 0.05.
    #[serde(default = "few")]
    pub cancel_later: f64,
    /// `orders`: the share of orders of which money is asked back: a part, all, or all twice with one key; 0.1.
    #[serde(default = "some")]
    pub refund: f64,
    /// `orders`: the share of orders that are read again and again until they are final; 0.2.
    #[serde(default = "many")]
    pub read: f64,
    /// `orders`: the share of orders whose stream is followed, from its beginning or from its middle, some with a
    /// connection that the client breaks; 0.3.
    #[serde(default = "streams")]
    pub streams: f64,
    /// The share of streams whose client reads a message and then nothing for `slow_pause`; 0.01.
    #[serde(default = "hardly_any")]
    pub slow_readers: f64,
    /// How long slow readers pause; `3s`.
    #[serde(default = "slow_pause", with = "duration")]
    pub slow_pause: Duration,

    /// `same_key`: how many requests come at once with one key, 2 to 1,000; 100. `last_pieces`: how many buy at once; 200.
    #[serde(default)]
    pub at_once: Option<u32>,
    /// `same_key`, `last_pieces`: rounds, one after the other; 100. The load may be ended before.
    #[serde(default = "rounds")]
    pub rounds: u32,
    /// `last_pieces`: pieces that there are of each round's product; 10.
    #[serde(default = "pieces")]
    pub pieces: u32,
    /// `streams`: connections held open, 1 to 20,000; 10,000.
    #[serde(default = "watchers")]
    pub watchers: u32,
    /// `streams`: connections to each order, 1 to 1,000; 10.
    #[serde(default = "watchers_per_order")]
    pub watchers_per_order: u32,

    /// How long a client waits for an answer before it gives the request up as unknown; `10s`.
    #[serde(default = "timeout", with = "duration")]
    pub timeout: Duration,
    /// How long a client goes on asking with the same key until it has an answer; `60s`. What is unanswered then is asked
    /// once more when the load has ended.
    #[serde(default = "patience", with = "duration")]
    pub patience: Duration,
    /// Requests under way at once, 1 to 10,000; 256. Who comes when all are in use waits.
    #[serde(default = "connections")]
    pub connections: u32,
    /// `orders`: visits under way at once, 1 to 100,000; 4,000. When there are so many, the next one is late.
    #[serde(default = "visits")]
    pub visits: u32,
}

/// What kind of clients there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Journey {
    /// Orders are placed, some repeated, cancelled, refunded, read back, followed.
    Orders,
    /// The same request with the same key, many times at once over the doors of all replicas.
    SameKey,
    /// More buyers than pieces, at once over the doors of all replicas.
    LastPieces,
    /// As many streams as there may be, and few orders.
    Streams,
}

/// A load that cannot be. Says the field and what it may be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("[load] {field} is {value}: {must}")]
pub struct BadLoad {
    /// The field's name.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What it has to be.
    pub must: &'static str,
}

impl Load {
    /// Whether every value is within its bounds.
    pub fn check(&self) -> Result<(), BadLoad> {
        let bad = |field, value: String, must| Err(BadLoad { field, value, must });
        if !(self.rate > 0.0 && self.rate <= 10_000.0) {
            return bad("rate", self.rate.to_string(), "must be more than 0 and at most 10000");
        }
        let counts = [
            ("products", self.products, 1, 1_000, "must be 1 to 1000"),
            ("stock", self.stock, 1, 1_000_000, "must be 1 to 1000000"),
            ("buyers", self.buyers, 1, 1_000, "must be 1 to 1000"),
            ("at_once", self.at_once(), 2, 1_000, "must be 2 to 1000"),
            ("rounds", self.rounds, 1, 100_000, "must be 1 to 100000"),
            ("pieces", self.pieces, 1, 1_000_000, "must be 1 to 1000000"),
            ("watchers", self.watchers, 1, 20_000, "must be 1 to 20000"),
            ("watchers_per_order", self.watchers_per_order, 1, 1_000, "must be 1 to 1000"),
            ("connections", self.connections, 1, 10_000, "must be 1 to 10000"),
            ("visits", self.visits, 1, 100_000, "must be 1 to 100000"),
        ];
        for (field, value, least, most, must) in counts {
            if !(least..=most).contains(&value) {
                return bad(field, value.to_string(), must);
            }
        }
        let shares = [
            ("repeat_later", self.repeat_later),
            ("repeat_at_once", self.repeat_at_once),
            ("other_body", self.other_body),
            ("cancel_now", self.cancel_now),
            ("cancel_later", self.cancel_later),
            ("refund", self.refund),
            ("read", self.read),
            ("streams", self.streams),
            ("slow_readers", self.slow_readers),
        ];
        for (field, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return bad(field, value.to_string(), "must be 0 to 1");
            }
        }
        let deeds = self.cancel_now + self.cancel_later + self.refund + self.read;
        if deeds > 1.0 {
            let must = "cancel_now, cancel_later, refund and read must be at most 1 together";
            return bad("read", self.read.to_string(), must);
        }
        if !self.payments.values().all(|weight| weight.is_finite() && *weight >= 0.0)
            || self.payments.values().sum::<f64>() <= 0.0
        {
            let must = "must be weights of 0 and more, one of them more than 0";
            return bad("payments", format!("{:?}", self.payments), must);
        }
        let times = [("timeout", self.timeout), ("patience", self.patience), ("slow_pause", self.slow_pause)];
        for (field, value) in times {
            if value.is_zero() || value > Duration::from_secs(3_600) {
                return bad(field, format!("{value:?}"), "must be more than 0s and at most 1h");
            }
        }
        Ok(())
    }

    /// How many come at once in a round.
    pub fn at_once(&self) -> u32 {
        self.at_once.unwrap_or(match self.journey {
            Journey::LastPieces => 200,
            Journey::Orders | Journey::SameKey | Journey::Streams => 100,
        })
    }
}

fn rate() -> f64 {
    50.0
}
fn products() -> u32 {
    10
}
fn stock() -> u32 {
    100_000
}
fn buyers() -> u32 {
    24
}
fn payments() -> BTreeMap<String, f64> {
    let weights = [
        ("tok_visa", 85.0),
        ("tok_chargeDeclined", 4.0),
        ("tok_insufficient_funds", 3.0),
        ("tok_flaky", 4.0),
        ("tok_slow", 3.0),
        ("tok_timeout", 1.0),
    ];
    weights.map(|(token, weight)| (token.to_owned(), weight)).into()
}
fn hardly_any() -> f64 {
    0.01
}
fn very_few() -> f64 {
    0.02
}
fn few() -> f64 {
    0.05
}
fn some() -> f64 {
    0.1
}
fn many() -> f64 {
    0.2
}
fn streams() -> f64 {
    0.3
}
fn slow_pause() -> Duration {
    Duration::from_secs(3)
}
fn rounds() -> u32 {
    100
}
fn pieces() -> u32 {
    10
}
fn watchers() -> u32 {
    10_000
}
fn watchers_per_order() -> u32 {
    10
}
fn timeout() -> Duration {
    Duration::from_secs(10)
}
fn patience() -> Duration {
    Duration::from_secs(60)
}
fn connections() -> u32 {
    256
}
fn visits() -> u32 {
    4_000
}

/// `10s`, `500ms`, `2m`: jiff's friendly durations.
mod duration {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, SignedDuration};
    use serde::de::Error as _;

    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let signed = SignedDuration::try_from(*duration).map_err(serde::ser::Error::custom)?;
        format!("{signed:#}").serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let signed: SignedDuration = text.parse().map_err(|error| {
            D::Error::custom(format!("{text:?} is not a duration such as \"10s\": {error}"))
        })?;
        Duration::try_from(signed).map_err(|_| D::Error::custom(format!("{text:?} is less than nothing")))
    }
}
