//! The identity service as its clients see it: over HTTP, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod app;
mod clients;
mod first_start;
mod keys;
mod login;
mod manners;
mod sessions;
mod users;
