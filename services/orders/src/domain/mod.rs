//! The order, pure: what it is, what it may become, and why. No I/O, no clock, no async.

mod command;
mod decide;
mod event;
mod evolve;
mod order;
mod price;
#[cfg(test)]
mod tests;

pub use command::{CancelledBy, Command, Rejection};
pub use decide::{Fulfilment, Policy, decide};
pub use event::Event;
pub use evolve::{evolve, replay};
pub use order::{
    Address, Line, Order, Payment, PaymentMeans, Reason, Refund, RefundState, ShortLine, Status,
};
pub use price::{Draft, MAX_LINES, Offer, PriceError, price};
