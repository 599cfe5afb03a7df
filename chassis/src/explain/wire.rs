//! The shapes of evidence, as they go over the wire: written by every service, read by coordination.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a service can say about a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Who says it.
    pub service: String,
    /// Each of its consumers, in the partition that the key is in.
    pub consumers: Vec<ConsumerEvidence>,
    /// Actors that are not as they should be: those that everything goes through, and that of the key.
    pub actors: Vec<ActorEvidence>,
    /// Every breaker.
    pub breakers: Vec<BreakerEvidence>,
    /// Whether what it commits gets out; absent where nothing is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayEvidence>,
    /// What the service itself knows of the key, and what could not be found out.
    pub notes: Vec<Note>,
}

/// Where a consumer stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConsumerEvidence {
    /// What it reads.
    pub topic: String,
    /// The partition that the key is in.
    pub partition: i32,
    /// Events of that partition that it has not handled.
    pub lag_events: i64,
    /// How long ago the oldest of these happened; 0 when there is none.
    pub lag_seconds: f64,
    /// Set when events of the key wait for somebody to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parked>,
}

/// Why events of a key are parked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Parked {
    /// When the first was given up.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Why.
    pub error: String,
    /// Its id, for `viscount dlq show`.
    pub dead_letter_id: Uuid,
    /// What it was, such as `OrderCreated`.
    pub event: String,
    /// Events that wait behind it.
    pub behind: i64,
    /// True when somebody has asked for another try.
    pub redriving: bool,
}

/// An actor that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActorEvidence {
    /// Where it is in the tree; that of an entity ends with its id.
    pub path: String,
    /// `backing_off`, `down`, `failed`, `fallen` (an entity that fell lately), `quarantined` or `stuck`.
    pub state: String,
    /// Why it fell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
}

/// A breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BreakerEvidence {
    /// Its name, as in the metrics.
    pub name: String,
    /// `closed`, `half_open` or `open`.
    pub state: String,
}

/// How far what is committed is on the brokers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RelayEvidence {
    /// Events that are committed and not published.
    pub lag_events: i64,
    /// How long ago the oldest of these happened; 0 when there is none.
    pub lag_seconds: f64,
    /// True when that is longer than publishing ever takes.
    pub stalled: bool,
}

/// Something that a service knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// For programs, such as `provider_unknown_outcome`.
    pub kind: String,
    /// For people.
    pub detail: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Until when: a deadline, or the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

impl Note {
    /// A note without times.
    pub fn new(kind: &str, detail: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), detail: detail.into(), since: None, until: None }
    }

    /// Since when.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// Until when.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }
}
