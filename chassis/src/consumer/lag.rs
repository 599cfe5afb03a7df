//! How far a consumer is behind, in events and in time, for each partition.

use jiff::Timestamp;
use metrics::{Gauge, gauge};

use super::{ConsumerSpec, progress::Partitions};
use crate::metrics::{CONSUMER_LAG_EVENTS, CONSUMER_LAG_SECONDS};

/// Outlives the consumer's runs: while it is not running, what it has not handled grows older all the same.
pub(super) struct Lag {
    labels: [(&'static str, &'static str); 3],
    known: Vec<Known>,
}

struct Known {
    partition: i32,
    seconds: Gauge,
    /// Where the engine does not tell it by itself.
    events: Option<Gauge>,
    oldest: Option<Timestamp>,
}

impl Lag {
    pub(super) fn new(spec: &ConsumerSpec) -> Self {
        Self { labels: spec.labels(), known: Vec::new() }
    }

    /// Shows how it is now. `newest` is the newest position of a topic whose engine keeps it in memory; such a topic has
    /// one partition.
    pub(super) fn show(&mut self, partitions: &Partitions, newest: Option<i64>) {
        if newest.is_some() {
            // Until the first event comes, there is none behind the consumer's place.
            self.of(0, true);
        }
        for known in &mut self.known {
            known.oldest = None;
            if let Some(events) = &known.events {
                events.set(0.0);
            }
        }
        for (partition, finished, oldest) in partitions.standing() {
            let known = self.of(partition, newest.is_some());
            known.oldest = oldest;
            if let (Some(newest), Some(events)) = (newest, &known.events) {
                events.set((newest - finished).max(0) as f64);
            }
        }
        self.age();
    }

    /// Shows how old is by now what was not handled when it was last looked at.
    pub(super) fn age(&self) {
        let now = Timestamp::now();
        for known in &self.known {
            let age = known.oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64());
            known.seconds.set(age.max(0.0));
        }
    }

    fn of(&mut self, partition: i32, counts: bool) -> &mut Known {
        let at = self.known.iter().position(|known| known.partition == partition).unwrap_or_else(|| {
            let mut labels = self.labels.map(|(name, value)| (name, value.to_owned())).to_vec();
            labels.push(("partition", partition.to_string()));
            self.known.push(Known {
                partition,
                seconds: gauge!(CONSUMER_LAG_SECONDS, &labels),
                events: counts.then(|| gauge!(CONSUMER_LAG_EVENTS, &labels)),
                oldest: None,
            });
            self.known.len() - 1
        });
        &mut self.known[at]
    }
}
