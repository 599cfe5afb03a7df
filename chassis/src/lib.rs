//! The microservice chassis every service stands on: configuration, telemetry, HTTP, auth, event store, event log,
//! resilience, development stack.

pub mod devpg;
pub mod resilience;
