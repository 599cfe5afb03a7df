//! Makes the steps of a schedule happen, and writes down what became of each.
//!
//! Every step is a task of its own: what takes long holds up nothing but the same part, and the same fault where it takes
//! one at a time. What lasts is undone when its time
//! is over, and at once when the run is stopped.

mod body;
mod carry;
pub mod clock;
mod events;
mod in_sync;
mod log;
mod platform;
mod rows;
#[cfg(test)]
mod tests;

pub use body::{Body, Fate};
pub use carry::carry_out;
pub use log::{Happened, Log, Outcome, read};
pub use platform::Bench;
