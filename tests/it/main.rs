//! The whole platform, as its users meet it: the program, its processes, its doors.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[cfg(feature = "kafka")]
mod broker;
mod cli;
mod collector;
mod contention;
#[cfg(feature = "kafka")]
mod coordination;
mod demo;
mod dev;
mod dlq;
mod documents;
mod events;
#[cfg(feature = "kafka")]
mod every_service_twice;
mod gateway;
mod killing;
mod metrics;
mod observability;
mod outage;
mod platform;
#[cfg(feature = "kafka")]
mod processes;
#[cfg(feature = "kafka")]
mod registry;
#[cfg(feature = "kafka")]
mod replicas;
mod screen;
mod sockets;
mod streams;
mod supervision;
mod top;
mod traces;
#[cfg(feature = "kafka")]
mod unwelcome;
mod why;
