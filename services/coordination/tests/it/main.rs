//! Coordination over real HTTP, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod app;
mod configuration;
mod health;
mod hostile;
mod locks;
mod registry;
mod workflows;
