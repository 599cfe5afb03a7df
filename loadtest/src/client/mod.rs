//! What speaks to the platform: connections, the customers of a run, and what the shop has.

pub mod customers;
pub mod pool;
pub mod shop;
pub mod wire;
