//! The orders service: the real core, inside a model of its actor and of its tables.

mod actor;
mod tables;

pub use actor::{Memory, Orders, Work, replay};
pub use tables::{Body, Change, Claim, OrderTables, PAYMENT_DEADLINE, STOCK_DEADLINE};
