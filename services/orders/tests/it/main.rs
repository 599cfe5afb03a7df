//! Orders over HTTP, on a real PostgreSQL and a real log; inventory, payments and the catalogue are played by the test.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod app;
mod bad_input;
mod idempotency;
mod life;
mod quarantine;
mod recorded;
mod replicas;
mod stream;
mod stuck;
