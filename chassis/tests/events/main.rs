//! The event store, the log and the consumers, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bed;
mod committing;
mod conformance;
mod consuming;
mod embedded;
#[cfg(feature = "kafka")]
mod kafka;
mod keys;
mod redriving;
mod replaying;
mod wire;
