//! What all parts of the simulated world have in common: decisions, time, ids, the log, the trace, the first violation.

use std::rc::Rc;

use jiff::Timestamp;
use uuid::Uuid;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{Envelope, EventId, Topic};

use crate::{choice::Choices, defect::Defect, provider::Provider};

/// Partitions of each topic.
pub const PARTITIONS: usize = 2;
/// Replicas of each service.
pub const REPLICAS: usize = 2;

/// What ids are of: their upper half.
#[derive(Debug, Clone, Copy)]
pub enum IdKind {
    /// A product.
    Product = 1,
    /// An order.
    Order,
    /// A user.
    User,
    /// An event.
    Event,
    /// A refund that somebody asked for.
    Refund,
    /// A request to the provider, where it has a key of its own.
    Request,
}

/// Id number `number` of a kind.
pub fn id(kind: IdKind, number: u64) -> Uuid {
    Uuid::from_u128((kind as u128) << 64 | u128::from(number))
}

/// The number in an id, for people.
pub fn number(id: Uuid) -> u64 {
    id.as_u128() as u64
}

/// The partition of a key.
pub fn partition(key: Uuid) -> usize {
    number(key) as usize % PARTITIONS
}

/// What brokers hold of one topic.
#[derive(Debug, Default)]
pub struct Log {
    /// By partition. An event may be there twice.
    pub partitions: [Vec<Rc<Envelope>>; PARTITIONS],
}

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// Every decision.
    pub choices: Choices,
    /// What is broken on purpose.
    pub defect: Option<Defect>,
    /// The databases' clock, in milliseconds.
    pub now: i64,
    /// Counts steps: the order of all that happens.
    pub tick: u64,
    /// Topics: orders, inventory, payments.
    pub logs: [Log; 3],
    /// The payment provider.
    pub provider: Provider,
    /// Events that cannot be handled until somebody mends their handler.
    pub poisoned: Vec<EventId>,
    /// What happened, for people, when it is wanted.
    pub trace: Option<Vec<String>>,
    /// The first thing that should never be.
    pub violation: Option<String>,
    ids: u64,
}

/// Where the log of a topic is.
pub fn index(topic: Topic) -> usize {
    match topic {
        Topic::Orders => 0,
        Topic::Inventory => 1,
        _ => 2,
    }
}

impl Shared {
    /// A world before its first step.
    pub fn new(choices: Choices, defect: Option<Defect>, traced: bool) -> Self {
        Self {
            choices,
            defect,
            now: 0,
            tick: 0,
            logs: Default::default(),
            provider: Provider::default(),
            poisoned: Vec::new(),
            trace: traced.then(Vec::new),
            violation: None,
            ids: 0,
        }
    }

    /// True when this is broken on purpose.
    pub fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// A new id.
    pub fn id(&mut self, kind: IdKind) -> Uuid {
        self.ids += 1;
        id(kind, self.ids)
    }

    /// The time on a clock that is so many milliseconds wrong.
    pub fn clock(&self, skew: i64) -> Timestamp {
        time(self.now + skew)
    }

    /// Gives an event an id of this world instead of a random one.
    pub fn named(&mut self, mut event: NewEvent) -> NewEvent {
        event.id = EventId::from(self.id(IdKind::Event));
        event
    }

    /// Writes down what happened, when somebody wants to know.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>6} {:>9}ms  {}", self.tick, self.now, line()));
        }
    }

    /// Something that should never be. The first one counts.
    pub fn violate(&mut self, what: impl Into<String>) {
        if self.violation.is_none() {
            let what = what.into();
            self.note(|| format!("VIOLATION {what}"));
            self.violation = Some(what);
        }
    }
}

/// A moment, from milliseconds since the world began.
pub fn time(millis: i64) -> Timestamp {
    // Somewhere in 2026; far from either end of time.
    Timestamp::from_millisecond(1_767_225_600_000 + millis).unwrap_or_default()
}
