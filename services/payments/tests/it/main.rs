//! Payments and the provider simulator together, over real HTTP and real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod app;
mod cancelling;
mod reading;
mod recorded;
mod refunds;
mod replicas;
mod simulator;
mod throughput;
mod tokens;
mod unknown;
mod webhooks;
