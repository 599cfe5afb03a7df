//! Workflows: one row an order, made of what all services say of it.
//!
//! Orders, inventory and payments publish what they do; here it comes together, so that an operator sees in one place where
//! each order stands, what it waits for and since when. Nothing depends on it: it may be away, behind, or thrown away and
//! made anew from the topics. What it costs is in docs/adr/0033-one-row-an-order.md.

mod fold;
mod follow;
mod forget;
mod kind;
mod store;
#[cfg(test)]
mod tests;
mod timeline;
mod view;

pub use fold::{TOPICS, Workflow};
pub use follow::follow;
pub use forget::forget_old;
pub use store::{Wanted, find, list};
pub use view::{Moment, Patience, View, What};
