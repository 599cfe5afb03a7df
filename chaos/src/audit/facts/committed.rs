//! By when clients knew up to where the orders' log was committed.
//!
//! Positions are given in the order of the commits, and whoever is told of an event is told after its commit. So everything
//! up to the position of an event that any client has seen is there for whoever asks later, whatever order it is of: reads
//! and streams begin with rows of the one database that all replicas share. No clock but the clients' is needed.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::{History, Order, Step, shown, version};

/// What was known to be committed, by when.
#[derive(Debug, Default)]
pub struct Committed(Vec<Known>);

/// From `since` on everything up to `position` was there: `line` of the history had shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    since: Timestamp,
    position: i64,
    line: u64,
}

impl Committed {
    pub(super) fn of(history: &History<'_>, orders: &HashMap<Uuid, Order>) -> Self {
        let position = |order: Uuid, version: i64| Some(orders.get(&order)?.at(version)?.position);
        let operations = history.operations.iter().filter_map(|one| {
            let position = position(shown(one)?, version(one)?)?;
            Some(Known { since: one.ended, position, line: one.id })
        });
        let frames = history.streams.iter().flat_map(|stream| {
            stream.frames.iter().filter_map(move |frame| {
                let position = position(stream.order, i64::try_from(frame.version).ok()?)?;
                Some(Known { since: frame.at, position, line: stream.id })
            })
        });
        let mut known: Vec<Known> = operations.chain(frames).collect();
        known.sort_unstable();
        // What is no news is left out.
        let mut newest = 0;
        known.retain(|known| {
            let news = known.position > newest;
            newest = newest.max(known.position);
            news
        });
        Self(known)
    }

    /// Since when an event was known to be there, and by which line.
    pub fn since(&self, step: &Step) -> Option<(Timestamp, u64)> {
        let first = self.0.get(self.0.partition_point(|known| known.position < step.position))?;
        Some((first.since, first.line))
    }

    /// The newest version of an order that was there before a moment, and the line that had shown so.
    pub fn before<'o>(&self, moment: Timestamp, order: &'o Order) -> Option<(&'o Step, u64)> {
        let upto = self.0.partition_point(|known| known.since < moment);
        let Known { position, .. } = *self.0.get(upto.checked_sub(1)?)?;
        let newest = order.steps.iter().rev().find(|step| step.position <= position)?;
        Some((newest, self.since(newest)?.1))
    }
}
