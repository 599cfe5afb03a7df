//! The event log: how one service's committed events reach the others.
//!
//! A publisher commits events to its own database first; the log makes them known. A reader gets every event behind a
//! position, at least once, in the order of the log. Two services never share a table: a reader sees envelopes only.

mod embedded;
mod ring;

use std::{future::Future, pin::Pin, sync::Arc};

use viscount_contracts::{Envelope, Topic};

pub use embedded::EmbeddedLog;

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
}

/// An engine that carries events. `embedded` serves one process; a broker serves many.
pub trait EventLog: Send + Sync + 'static {
    /// Tells where a topic's committed events are found, and gives the way to announce new ones.
    fn publisher(&self, store: EventStore) -> Arc<dyn Publisher>;

    /// Reads everything behind position `after`. Each reader sees everything: how work is shared between consumers of
    /// one group, and where a group stands, is the consumers' business.
    fn reader(&self, topic: Topic, after: i64) -> Box<dyn LogReader>;

    /// The position of the newest event known of this topic; 0 when there is none.
    fn head(&self, topic: Topic) -> BoxFuture<'_, Result<i64, LogError>>;
}

/// Takes what a service has committed.
pub trait Publisher: Send + Sync + 'static {
    /// Announces committed events, positions ascending without a gap. What is never announced is found in the store.
    fn publish(&self, events: Vec<Envelope>);
}

/// One reader's place in a topic.
pub trait LogReader: Send {
    /// Waits until there is something behind the reader's place and gives at most `max` events, in order.
    /// Dropping the future loses nothing.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>>;
}
