//! The event log: how one service's committed events reach the others.
//!
//! A publisher commits events to its own database first; the log makes them known. Two services never share a table: who
//! listens sees envelopes only. There are two ways to listen:
//!
//! - [`EventLog::subscribe`]: as a member of a group. Each event is for one member; the group's place is kept, and work
//!   moves between members as they come and go. This is how effects are made.
//! - [`EventLog::follow`]: as oneself. Every follower sees everything, and nobody keeps its place. This is how each
//!   replica keeps what it holds in memory right.
//!
//! An engine promises both at least once and in order per key; not an order between keys.

mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
mod place;
mod raw;
mod ring;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;
use viscount_contracts::{Envelope, Topic};

pub use embedded::EmbeddedLog;
pub use raw::{RawHeader, RawMessage, Unreadable};

use crate::store::EventStore;

/// A future that lives on its own.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The log could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Nobody publishes this topic here yet.
    #[error("topic {0} is not there yet")]
    UnknownTopic(Topic),
    /// The log's store is away; the same call may succeed later.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// The log's store answered and said no; asking again will not help.
    #[error("the log refused: {0}")]
    Refused(String),
    /// Events that this group has not seen are no longer there, and it is told not to go on without them.
    #[error("{topic} has lost events: wanted offset {wanted} of partition {partition}, found {found}")]
    HistoryLost {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
        /// The offset that was to be read next.
        wanted: i64,
        /// The offset that was found instead.
        found: i64,
    },
}

/// An engine that carries events. `embedded` serves one process; a broker serves many.
pub trait EventLog: Send + Sync + 'static {
    /// Tells where a topic's committed events are found, and gives the way to announce new ones.
    fn publisher(&self, store: EventStore) -> Arc<dyn Publisher>;

    /// Joins a group; reading begins where the group stood.
    fn subscribe(&self, member: Member) -> BoxFuture<'_, Result<Subscription, LogError>>;

    /// Reads everything from some point on. The point is fixed when this returns: with [`Start::Now`], whatever is
    /// published from then on will be seen.
    fn follow(&self, topic: Topic, start: Start) -> BoxFuture<'_, Result<Box<dyn LogReader>, LogError>>;

    /// How far a group has come, when the engine itself keeps that: everything up to this position is done. `published` is
    /// a position up to which everything is published. `None` where the group's own database has it.
    fn place(
        &self,
        consumer: &'static str,
        topic: Topic,
        published: i64,
    ) -> BoxFuture<'_, Result<Option<i64>, LogError>> {
        let _ = (consumer, topic, published);
        Box::pin(async { Ok(None) })
    }

    /// Where a group stands in the partition that a key is in. Asked for by people: it may take round trips.
    fn standing(&self, member: Member, key: Uuid) -> BoxFuture<'_, Result<Standing, LogError>> {
        let _ = (member, key);
        Box::pin(async { Err(LogError::Unavailable("this engine does not say".to_owned())) })
    }

    /// The newest event of a topic, when it is this process's own and the engine keeps it in memory. Costs nothing.
    fn newest(&self, topic: Topic) -> Option<i64> {
        let _ = topic;
        None
    }

    /// True when other processes may take a part of a group's work: then what a replica holds in memory has to follow
    /// the log, because the group's events are not all handled here.
    fn shares_work(&self) -> bool {
        false
    }

    /// Tries once more to find the event in a message that could not be read: this program may know more than the one
    /// that met it. What is wrong, when there still is none.
    fn read_again(&self, topic: Topic, message: &RawMessage) -> Result<Envelope, String> {
        let _ = (topic, message);
        Err("only an engine with brokers can read it".to_owned())
    }

    /// Says why events cannot flow at the moment, for `/readyz`.
    fn check(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// Leaves groups and publishes what is under way, within this time. Called once, when nobody commits any more.
    fn close(&self, patience: Duration) -> BoxFuture<'_, ()> {
        let _ = patience;
        Box::pin(async {})
    }
}

/// Takes what a service has committed.
pub trait Publisher: Send + Sync + 'static {
    /// Announces committed events, positions ascending without a gap. What is never announced is found in the store.
    fn publish(&self, events: Vec<Envelope>);
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event there is.
    Beginning,
    /// Behind the newest one.
    Now,
}

/// A follower's place in a topic.
pub trait LogReader: Send {
    /// Waits until there is something behind the reader's place and gives at most `max` events, in order per key.
    /// Dropping the future loses nothing.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>>;
}

/// Who joins which group.
#[derive(Debug, Clone)]
pub struct Member {
    /// The group's name. Groups are told apart by name and topic.
    pub consumer: &'static str,
    /// What it reads.
    pub topic: Topic,
    /// The group's own database, for an engine that keeps the group's place there.
    pub pool: PgPool,
}

/// Where a group stands in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which; a log without partitions has one, 0.
    pub partition: i32,
    /// How many messages there are behind the group's place.
    pub behind: i64,
    /// When the first of these happened; `None` when there is none, or it cannot be read.
    pub oldest: Option<Timestamp>,
}

/// A membership: what comes in, and where its progress goes. Dropping `deliveries` leaves the group.
pub struct Subscription {
    /// What comes in.
    pub deliveries: Box<dyn Deliveries>,
    /// Where its progress goes.
    pub place: Box<dyn Place>,
}

/// What a member is given.
pub trait Deliveries: Send {
    /// Waits until there is something, and gives at most `max` events. Dropping the future loses nothing.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Delivery, LogError>>;

    /// The same for a member that has no room for events: it still has to hear of partitions that go. Never, from a log
    /// without partitions.
    fn revoked(&mut self) -> BoxFuture<'_, Result<Delivery, LogError>> {
        Box::pin(std::future::pending())
    }
}

/// Where a group stands.
pub trait Place: Send {
    /// Keeps that everything up to and including this offset is done, for each of these partitions. Called only after
    /// the effects are durable.
    fn save<'a>(&'a self, done: &'a [(i32, i64)]) -> BoxFuture<'a, Result<(), LogError>>;

    /// The same when the member ends and nobody waits any more: for an engine to which it is enough to be told.
    fn note(&self, done: &[(i32, i64)]) {
        let _ = done;
    }
}

/// One thing that a member is given.
#[derive(Debug)]
pub enum Delivery {
    /// Events to handle.
    Events(Batch),
    /// Partitions that go to another member.
    Revoked(Revoked),
}

/// Events of one partition, offsets ascending.
#[derive(Debug)]
pub struct Batch {
    /// Which partition; a log without partitions has one, 0.
    pub partition: i32,
    /// Everything up to here has been read.
    pub through: i64,
    events: Vec<Arc<Envelope>>,
    /// One for each event; empty where positions are the offsets.
    offsets: Vec<i64>,
    /// Messages in between in which there is no event.
    unreadable: Vec<Unreadable>,
}

/// What was found in one message.
#[cfg(feature = "kafka")]
#[derive(Debug)]
enum Record {
    Event(Arc<Envelope>),
    Unreadable(Box<Unreadable>),
}

impl Batch {
    /// What a partition has, each with its offset.
    #[cfg(feature = "kafka")]
    fn of_partition(partition: i32, through: i64, records: impl Iterator<Item = (i64, Record)>) -> Self {
        let (events, offsets) = {
            let count = records.size_hint().0;
            (Vec::with_capacity(count), Vec::with_capacity(count))
        };
        let mut batch = Self { partition, through, events, offsets, unreadable: Vec::new() };
        for (offset, record) in records {
            match record {
                Record::Event(event) => {
                    batch.events.push(event);
                    batch.offsets.push(offset);
                }
                Record::Unreadable(message) => batch.unreadable.push(*message),
            }
        }
        batch
    }

    /// A batch of a log without partitions, whose positions are its offsets.
    pub fn whole(events: Vec<Arc<Envelope>>) -> Self {
        let through = events.last().map_or(0, |event| event.position);
        Self { partition: 0, through, events, offsets: Vec::new(), unreadable: Vec::new() }
    }

    /// The offset of the first thing in it.
    pub fn first(&self) -> Option<i64> {
        let event = self.offsets.first().copied().or_else(|| self.events.first().map(|event| event.position));
        let unreadable = self.unreadable.first().map(|unreadable| unreadable.message.offset);
        event.into_iter().chain(unreadable).min()
    }

    /// Takes out the messages in which there is no event, offsets ascending.
    pub fn take_unreadable(&mut self) -> Vec<Unreadable> {
        std::mem::take(&mut self.unreadable)
    }

    /// The newest of its events.
    pub fn last(&self) -> Option<&Envelope> {
        self.events.last().map(AsRef::as_ref)
    }

    /// The events, as they come.
    pub fn events(&self) -> impl Iterator<Item = &Envelope> {
        self.events.iter().map(AsRef::as_ref)
    }

    /// The events.
    #[cfg(feature = "kafka")]
    fn into_events(self) -> Vec<Arc<Envelope>> {
        self.events
    }

    /// The events, each with its offset.
    pub fn into_records(self) -> impl Iterator<Item = (i64, Arc<Envelope>)> {
        let Self { events, offsets, .. } = self;
        events.into_iter().enumerate().map(move |(index, event)| {
            let offset = offsets.get(index).copied().unwrap_or(event.position);
            (offset, event)
        })
    }
}

/// Partitions that go to another member: finish what is under way, save, and drop this. Nothing of them will come any
/// more, unless they are given back later.
#[derive(Debug)]
pub struct Revoked {
    /// Which.
    pub partitions: Vec<i32>,
    /// They go then, whatever is still under way.
    pub deadline: Instant,
    /// The engine waits for its end.
    _hold: std::sync::mpsc::SyncSender<()>,
}

impl Revoked {
    /// With what the engine waits for: an answer or an error, both when this is dropped.
    #[cfg(any(test, feature = "kafka"))]
    pub(crate) fn until(partitions: Vec<i32>, deadline: Instant) -> (Self, std::sync::mpsc::Receiver<()>) {
        let (hold, end) = std::sync::mpsc::sync_channel(1);
        (Self { partitions, deadline, _hold: hold }, end)
    }
}
