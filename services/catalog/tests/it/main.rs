//! The catalogue over real HTTP, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod app;
mod editing;
mod hostile;
mod importing;
mod listing;
mod searching;
mod stock;
