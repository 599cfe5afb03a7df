//! What streams have told, and how fast.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::Topic;

use super::{Evidence, quantile};

impl Evidence<'_> {
    /// Messages that have come.
    pub(super) fn frames(&self) -> f64 {
        self.streams().map(|stream| stream.frames.len()).sum::<usize>() as f64
    }

    /// From an event's commit to its frame, on connections that were open by then.
    pub(super) fn streams_p99(&self) -> Option<f64> {
        let events = self.data.events.iter().filter(|event| event.service == Topic::Orders);
        let at: BTreeMap<(Uuid, i64), Timestamp> =
            events.map(|event| ((event.stream, i64::from(event.version)), event.at)).collect();
        let mut took = Vec::new();
        for stream in self.streams() {
            for frame in &stream.frames {
                let version = i64::try_from(frame.version).unwrap_or(i64::MAX);
                let Some(event) = at.get(&(stream.order, version)) else { continue };
                if *event > stream.begun {
                    took.push(frame.at.duration_since(*event).as_secs_f64());
                }
            }
        }
        quantile(took, 0.99)
    }
}
