//! What coordination knows, without a database: names and bounds, health, settings.

mod faults;
mod health;
mod instance;
mod names;
mod settings;

pub use health::{Health, Probe, UnknownHealth, probed};
pub use instance::{Address, InstanceId, Lease, Metadata, Registration, ValueError};
pub use names::{LockName, NameError, Owner, ServiceName};
pub use settings::{LONGEST_SETTINGS, Settings, Wrong};
