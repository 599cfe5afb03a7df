//! The gateway against real HTTP servers, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod balancing;
mod clients;
mod discovery;
mod drain;
mod hygiene;
mod limits;
mod own;
mod routing;
mod smuggling;
mod streaming;
mod support;
mod websocket;
