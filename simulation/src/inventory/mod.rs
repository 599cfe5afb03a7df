//! The inventory service: the real core, inside a model of its shelves, its desk and its tables.

mod desk;
mod shelf;
mod tables;

pub use desk::{Inventory, Work};
pub use shelf::{Memory, Shelf};
pub use tables::{Change, Row, StockTables, balance};
