//! The HTTP layer over real connections: each test starts a service of its own on a free port.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod app;
mod auth;
mod body;
mod headers;
mod layer;
mod lists;
mod ops;
mod raw;
mod start_and_stop;
