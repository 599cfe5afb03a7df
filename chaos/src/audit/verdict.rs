//! What an audit is held to, and what it finds.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use viscount_contracts::Topic;

use super::{dataset::Dataset, facts::Facts};

/// How many violations of one promise are told one by one.
const MOST: usize = 1_000;
/// How many events or lines of the history a violation names.
const MOST_NAMED: usize = 60;

/// What an audit is held to beyond what always holds. Evidence has them with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// How long after the end of the load an order may need to become final.
    pub settle: Duration,
    /// When the load ended; the end of the history's last order when absent.
    pub load_ended: Option<Timestamp>,
    /// A relay was killed, cut off or replaced: what it had not seen acknowledged may be on a topic more than once.
    pub doubles: bool,
    /// Dead letters are part of the experiment.
    pub letters: bool,
    /// Clocks were moved: times of events prove nothing.
    pub clocks_moved: bool,
    /// How long an open stream may leave out what is committed. Longer than a dead connection looks alive, where there are
    /// faults.
    pub mute: Duration,
}

impl Default for Terms {
    /// 60 seconds; faults of any kind except dead letters and clocks.
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(60),
            load_ended: None,
            doubles: true,
            letters: false,
            clocks_moved: false,
            mute: Duration::from_secs(120),
        }
    }
}

/// A promise of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Promise {
    /// Nothing is oversold.
    I1,
    /// Every accepted order is final in time.
    I2,
    /// Money is taken once and adds up.
    I3,
    /// Outbox and topics are the same.
    I4,
    /// Versions are contiguous.
    I5,
    /// Streams are the history.
    I6,
    /// Projections are what the events say.
    I7,
    /// Answers are kept.
    I8,
}

impl Promise {
    /// All of them.
    pub const ALL: [Promise; 8] = [
        Promise::I1,
        Promise::I2,
        Promise::I3,
        Promise::I4,
        Promise::I5,
        Promise::I6,
        Promise::I7,
        Promise::I8,
    ];

    /// What is promised.
    pub const fn says(self) -> &'static str {
        match self {
            Promise::I1 => "reserved + sold <= received, at every version",
            Promise::I2 => "every accepted order is final in time",
            Promise::I3 => "one capture for each paid order, and money adds up",
            Promise::I4 => "outbox and topics are the same, and what was told has had its effect",
            Promise::I5 => "versions are contiguous, nothing forks, ids are unique",
            Promise::I6 => "a stream is the history, without a gap or a repeat",
            Promise::I7 => "all events, replayed, give the same projections",
            Promise::I8 => "no answer was broken",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An event, named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventRef {
    /// Whose event.
    pub service: String,
    /// Its place in that service's log.
    pub position: i64,
    /// Its version in its stream.
    pub version: i32,
    /// Its type.
    pub kind: String,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// The order that it is about, if it is about one.
    pub order: Option<Uuid>,
    /// What is wrong, in words.
    pub what: String,
    /// The events that show it: those of the order in all services, or those that are meant.
    pub events: Vec<EventRef>,
    /// The lines of the history that are about the same order, by their numbers.
    pub history: Vec<u64>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.promise, self.what)?;
        if let Some(order) = self.order {
            write!(f, "\n  order {order}")?;
        }
        for EventRef { service, position, version, kind } in &self.events {
            write!(f, "\n  {service} at {position}: v{version} {kind}")?;
        }
        if !self.history.is_empty() {
            write!(f, "\n  history {:?}", self.history)?;
        }
        Ok(())
    }
}

/// One violation on its way: events are still places in the data set.
#[derive(Debug, Default)]
pub(super) struct Finding {
    order: Option<Uuid>,
    what: String,
    events: Vec<usize>,
    history: Vec<u64>,
}

impl Finding {
    /// It is about this order.
    pub fn order(mut self, order: Uuid) -> Self {
        self.order = Some(order);
        self
    }

    /// It is about this order, if it is about one.
    pub fn maybe_order(mut self, order: Option<Uuid>) -> Self {
        self.order = order.or(self.order);
        self
    }

    /// These events show it: their places in the data set.
    pub fn events(mut self, events: impl IntoIterator<Item = usize>) -> Self {
        self.events.extend(events);
        self
    }

    /// These lines of the history show it.
    pub fn history(mut self, lines: impl IntoIterator<Item = u64>) -> Self {
        self.history.extend(lines);
        self
    }
}

/// Something is wrong.
pub(super) fn wrong(what: impl Into<String>) -> Finding {
    Finding { what: what.into(), ..Finding::default() }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: BTreeMap<Promise, Vec<Finding>>,
    beyond: BTreeMap<Promise, usize>,
}

impl Findings {
    /// This promise was broken.
    pub fn add(&mut self, promise: Promise, finding: Finding) {
        let found = self.found.entry(promise).or_default();
        if found.len() < MOST {
            found.push(finding);
        } else {
            *self.beyond.entry(promise).or_default() += 1;
        }
    }

    /// The violations, each with the events and lines that belong to its order.
    pub fn sentence(self, data: &Dataset, facts: &Facts<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (promise, found) in self.found {
            for Finding { order, what, mut events, mut history } in found {
                if let Some(order) = order {
                    events.extend(Topic::ALL.into_iter().flat_map(|service| facts.stream(service, order)));
                    history.extend(facts.lines_about(order));
                }
                let order = order.filter(|id| !facts.is_no_order(*id));
                let mut events: Vec<EventRef> =
                    events.into_iter().filter_map(|at| data.events.get(at)).map(named).collect();
                // By service, and each service's in the order of its log.
                events.sort_unstable();
                events.dedup();
                events.truncate(MOST_NAMED);
                history.sort_unstable();
                history.dedup();
                history.truncate(MOST_NAMED);
                violations.push(Violation { promise, order, what, events, history });
            }
            if let Some(more) = self.beyond.get(&promise) {
                let what = format!("and {more} more");
                violations.push(Violation { promise, order: None, what, events: vec![], history: vec![] });
            }
        }
        violations
    }
}

fn named(event: &super::dataset::Event) -> EventRef {
    EventRef {
        service: event.service.service().to_owned(),
        position: event.position,
        version: event.version,
        kind: event.kind.to_string(),
    }
}
