//! Inventory over HTTP and by events, on a real PostgreSQL and a real log; orders are played by the test.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod adjusting;
mod app;
mod bad_input;
mod defects;
mod news;
mod orders;
mod replicas;
mod reserving;
