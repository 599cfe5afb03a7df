//! Coordination's tables. All deadlines are compared with the database's clock.

mod configurations;
mod events;
mod instances;
mod locks;
mod probes;
mod writer;

pub use configurations::{Configuration, configuration, history, stream_of};
pub use events::{deregistered, health_changed, registered, updated};
pub use instances::{
    Instance, by_health, claim_expired, count, find, list, newest_version, renew, renew_same, watch,
};
pub use locks::{Lock, acquire, find as find_lock, release, renew as renew_lock};
pub use probes::{Outcome, save, take_due};
pub use writer::{CoordinationWriter, Projection};
