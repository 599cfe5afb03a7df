//! The microservice chassis every service stands on: configuration, telemetry, HTTP, auth, event store, event log,
//! resilience, development stack.

pub mod auth;
pub mod config;
pub mod consumer;
pub mod coordination;
pub mod dead_letters;
#[cfg(feature = "kafka")]
pub mod devkafka;
pub mod devpg;
pub mod explain;
pub mod failpoint;
pub mod http;
pub mod idempotency;
pub mod log;
pub mod masking;
pub mod metrics;
pub mod open_files;
pub mod ports;
pub mod problem;
pub mod replay;
pub mod resilience;
pub mod seldom;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod testing;
pub mod thread_name;
pub mod thread_priority;
