//! The order saga in one thread: the services' real cores, a model of the protocol between them, one seed.
//!
//! `orders`, `inventory` and `payments` decide with the very functions that the services decide with. Around them is a
//! model of what the platform does: events with guarded versions, inbox and outbox, a log that delivers at least once and
//! in order per key, consumers that save the end of the finished prefix, dead letters, deadlines, a group commit whose
//! outcome may stay unknown, a provider that may forget to answer, two replicas of each service with memories of their
//! own. A scheduler makes one step after the other; it may kill, delay, repeat, reorder and set clocks wrong between any
//! two. There is no thread, no wall clock and no chance but the seed's, so that a failing run is made again exactly, and
//! made small.

pub mod calm;
pub mod check;
pub mod choice;
pub mod client;
mod consumer;
pub mod defect;
pub mod intake;
pub mod inventory;
mod letters;
pub mod node;
pub mod orders;
pub mod payments;
pub mod provider;
pub mod record;
mod relay;
pub mod run;
pub mod shared;
pub mod store;
pub mod stream;
pub mod world;
