//! The event store of one service: events, outbox, inbox and projections in one transaction, many entities at a time.
//!
//! - [`Database`] is the service's PostgreSQL database: pool and migrations.
//! - [`Committer`] is the group commit. Entities do not commit alone: each hands in an [`Entry`], and all entries that
//!   queued up while the previous transaction ran are written by one statement in one round trip and one commit.
//! - [`EventStore`] reads back: one stream, or the whole log from any position.
//!
//! Positions in the log are taken from one counter row that each writing transaction locks last and holds until it has
//! ended. So they have no gaps, and their order is the order of the commits, with any number of writers.

mod batch;
mod committer;
mod database;
pub(crate) mod figures;
mod pace;
mod read;
pub(crate) mod session;
mod spans;

#[cfg(feature = "kafka")]
pub(crate) use batch::AROUND;
pub use batch::{Batch, Entry, NewEvent, bind_events, now, statement, statement_returning};
pub use committer::{CommitError, Committed, Committer, CommitterSpec, EVENT_TOO_LARGE, Writer};
pub use database::{Database, DatabaseConfig, DatabaseError, is_unavailable};
pub use read::EventStore;
