//! What the layer promises, in virtual time. One binary; a module per promise.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(missing_docs, clippy::disallowed_methods, clippy::disallowed_types)]

mod clerk;
mod house;
mod ledger;
mod recorder;

mod actix_facts;
mod bounds;
mod containment;
mod escalation;
mod exits;
mod faults;
mod handover;
mod measured;
mod passivation;
mod policies;
mod profile;
mod quarantine;
mod routing;
mod stopping;
mod strategies;
mod stuck;
mod tasks;
mod timers;
