//! The pure core: what is known of one order's payment, and what follows from what.
//!
//! The core never talks to the provider. It says which [`Call`] must be answered before an intent can be decided
//! ([`Payment::asks`]), takes the [`Answer`] together with the [`Command`], and gives events ([`Payment::decide`]).
//! An answer that is not known is a state of its own, never a failure and never a success.

mod command;
mod decide;
mod event;
mod evolve;
mod payment;
#[cfg(test)]
mod tests;

pub use command::{Answer, Call, CallId, Command, Intent, Quiet, Terms};
pub use event::Event;
pub use payment::{Charge, Payment, Refund, RefundState};
