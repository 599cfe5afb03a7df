//! How far consumer groups and relays are behind.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::commands::top::{
    format,
    model::Model,
    panes::{Cell, Column, Line, Tone, column},
};

/// Seconds from which on a lag is worth a look, and from which on somebody has to.
const WORTH_A_LOOK: f64 = 5.0;
const TOO_LONG: f64 = 30.0;

/// Columns of the list.
pub const COLUMNS: &[Column] =
    &[column("GROUP", 10, 0), column("TOPIC", 9, 0), column("EVENTS", 7, 0), column("AGE", 7, 0)];

/// A group at a topic, or the relay of a service.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The consumer group's service, or the relay's.
    pub group: String,
    /// What it reads; `relay` for what is not published yet.
    pub topic: String,
    /// Events not yet handled, all partitions together.
    pub events: Option<f64>,
    /// The age of the oldest of them in seconds.
    pub seconds: Option<f64>,
    #[serde(skip)]
    old: bool,
}

/// Whether it is a relay, who it is, and what it reads.
type Place = (bool, String, String);

/// Each group at each topic, then the relays.
pub fn rows(model: &Model) -> Vec<Row> {
    let sums = model.platform.sums();
    // Partitions add up; replicas that say the same of one partition do not.
    let mut found: BTreeMap<Place, (Option<f64>, Option<f64>)> = BTreeMap::new();
    let labels = ["service", "consumer", "topic", "partition"];
    let key = |labels: &[String]| match labels {
        [service, consumer, topic, ..] => {
            let group = if consumer.is_empty() { service } else { consumer };
            (false, format::clean(group), format::clean(topic))
        }
        [service, ..] => (true, format::clean(service), "relay".to_owned()),
        [] => (true, String::new(), "relay".to_owned()),
    };
    for (name, labels) in [("consumer_lag_events", &labels[..]), ("relay_lag_events", &labels[..1])] {
        for (of, events) in sums.largest(name, labels) {
            *found.entry(key(&of)).or_default().0.get_or_insert(0.0) += events;
        }
    }
    for (name, labels) in [("consumer_lag_seconds", &labels[..]), ("relay_lag_seconds", &labels[..1])] {
        for (of, seconds) in sums.largest(name, labels) {
            let known = found.entry(key(&of)).or_default().1.get_or_insert(0.0);
            *known = known.max(seconds);
        }
    }
    let old = model.platform.readiness.error.is_some();
    let row = |((_, group, topic), (events, seconds))| Row { group, topic, events, seconds, old };
    found.into_iter().map(row).collect()
}

impl Row {
    /// As a line of the list.
    pub fn line(&self) -> Line {
        let waited = self.seconds.unwrap_or_default();
        Line {
            key: format!("{} {}", self.group, self.topic),
            cells: vec![
                Cell::Text(self.group.clone()),
                Cell::Text(self.topic.clone()),
                Cell::number(self.events, format::grouped),
                Cell::number(self.seconds, format::age),
            ],
            tone: match waited {
                _ if self.old => Tone::Old,
                waited if waited >= TOO_LONG => Tone::Bad,
                waited if waited >= WORTH_A_LOOK => Tone::Warning,
                _ => Tone::Plain,
            },
            indent: 0,
        }
    }
}
