//! The payments service: the real core, inside a model of its actor and of its tables.

mod actor;
mod tables;

pub use actor::{Memory, Payments, Work, replay};
pub use tables::{Change, Open, PaymentTables};
