//! The actors: one per product, thin around the core; the desk, which makes a reservation out of several products; and
//! two watchmen.
//!
//! A reservation never locks anything while it waits for the database: the products' actors put pieces aside in
//! memory ([`shelf::Hold`]), one entry is committed, and the holds are confirmed or given back.

mod announcer;
mod desk;
mod desk_end;
mod shelf;
mod stock;
mod sweeper;

pub use announcer::announce;
pub use desk::{Booked, Booking, Cause, Desk, DeskError};
pub use desk_end::Ended;
pub use shelf::Shelves;
pub use stock::{Adjust, AdjustError, Ask, PATIENCE as ADJUST_PATIENCE, StockActor, StockEnv};
pub use sweeper::sweep;
