//! A process and a coordination service that comes, goes and forgets: the contract's other side is a small server here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod registering;
mod registry;
mod settings;
