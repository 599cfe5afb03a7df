//! The pure core: what a product is, what may be done to it, and what it takes to find it.
//!
//! Nothing here knows of HTTP, SQL or actors. [`decide()`] says what a command means, [`evolve()`] what an event changes.

mod decide;
mod evolve;
mod product;
pub mod search;
mod stock;
#[cfg(test)]
mod tests;
mod values;

pub use decide::{Command, Expected, Rejection, decide};
pub use evolve::{Event, evolve};
pub use product::{Details, Product};
pub use stock::{Evidence, News, news};
pub use values::{Attributes, Description, Label, Name, Price, Sku, ValueError};
