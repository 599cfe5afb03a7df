//! What came of a load, for the report and for what an experiment expects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::world::World;
use crate::history::{Quantiles, Second};

/// The most different troubles that are told.
const TROUBLES: usize = 50;

/// What came of a load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadFigures {
    /// `orders`: visits that were begun.
    pub visits: u64,
    /// `orders`: visits that had to wait because too many were under way.
    pub late: u64,
    /// Orders that were accepted.
    pub accepted: u64,
    /// Orders by their last status: `open`, `completed`, `rejected`, `cancelled`, `refunded`.
    pub orders: BTreeMap<String, u64>,
    /// Requests that were refused while the load went on.
    pub refused: u64,
    /// Requests of which nobody knows what became of them, while the load went on.
    pub unknown: u64,
    /// How long it took until an order was accepted, all tries included.
    pub acceptance: Quantiles,
    /// Orders that were not final in time, or whose money was not.
    pub not_final: Vec<Uuid>,
    /// Orders of which nobody could be told where they stand when the load was over.
    #[serde(default)]
    pub unread: Vec<Uuid>,
    /// When the last order was seen final, by the clients' clock: the platform's may have been moved.
    #[serde(default)]
    pub last_final: Option<Timestamp>,
    /// Keys of requests that have no answer even after the load, when asked again and again.
    pub unanswered: Vec<String>,
    /// Connections to streams that were opened.
    pub streams: u64,
    /// Connections to streams that were opened again behind the last version seen.
    pub reconnects: u64,
    /// The most streams that were open at the end of a second.
    pub most_open_streams: u32,
    /// `same_key`, `last_pieces`: what came of each round.
    pub rounds: Vec<Round>,
    /// What a client did not expect, each with its count.
    pub troubles: BTreeMap<String, u64>,
    /// What happened in each second.
    pub seconds: Vec<Second>,
}

/// What came of a round in which many ask at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Which, from 1.
    pub round: u32,
    /// Requests.
    pub asked: u32,
    /// Requests that were answered 2xx at last.
    pub answered: u32,
    /// Different orders in these answers.
    pub orders: u32,
    /// Different bodies in these answers.
    pub bodies: u32,
    /// Orders that were completed.
    pub completed: u32,
    /// Orders that ended otherwise.
    pub ended: u32,
    /// Orders that were not final in time.
    pub open: u32,
}

/// Counted while a load goes on.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) visits: u64,
    pub(super) late: u64,
    pub(super) streams: u64,
    pub(super) reconnects: u64,
    pub(super) rounds: Vec<Round>,
    pub(super) troubles: BTreeMap<String, u64>,
    pub(super) not_final: Vec<Uuid>,
    pub(super) unread: Vec<Uuid>,
    pub(super) last_final: Option<Timestamp>,
    pub(super) unanswered: Vec<String>,
    pub(super) seconds: Vec<Second>,
}

impl World {
    /// What came of the load so far.
    pub(super) fn figures(&self) -> LoadFigures {
        let statuses = self.book().statuses();
        let counts = self.counts();
        let sum =
            |count: fn(&Second) -> u32| counts.seconds.iter().map(|second| u64::from(count(second))).sum();
        LoadFigures {
            visits: counts.visits,
            late: counts.late,
            accepted: statuses.values().sum(),
            orders: statuses.into_iter().map(|(status, count)| (status.name().to_owned(), count)).collect(),
            refused: sum(|second| second.refused),
            unknown: sum(|second| second.unknown),
            acceptance: self.recorder.acceptance(),
            not_final: counts.not_final.clone(),
            unread: counts.unread.clone(),
            last_final: counts.last_final,
            unanswered: counts.unanswered.clone(),
            streams: counts.streams,
            reconnects: counts.reconnects,
            most_open_streams: counts.seconds.iter().map(|second| second.open_streams).max().unwrap_or(0),
            rounds: counts.rounds.clone(),
            troubles: counts.troubles.clone(),
            seconds: counts.seconds.clone(),
        }
    }
}

impl Counts {
    /// Something that a client did not expect. Says what, and no id.
    pub fn trouble(&mut self, what: &str) {
        if self.troubles.len() < TROUBLES || self.troubles.contains_key(what) {
            *self.troubles.entry(what.to_owned()).or_default() += 1;
        }
    }
}
