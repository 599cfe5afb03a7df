//! The pure core: what may be held, what a command means for a reservation, what must be told. No I/O, no clock.
//!
//! - [`Stock`] is what an actor keeps in mind of one product: what is free where, and how many holds are undecided.
//! - [`Balance`] is one product as the database has it; adjusting and announcing are decided on it.
//! - [`Reservation`] is all-or-none over several products; [`ask`] and [`end`] say what its events mean.
//! - A [`Movement`] is one line of the ledger. Stock changes by movements only, so that their sum is the balance.

mod balance;
mod lines;
mod location;
mod movement;
mod reservation;
mod stock;
#[cfg(test)]
mod tests;

pub use balance::{Adjusted, Adjustment, Balance, BelowReserved, Level, Notice, Sign, Totals};
pub use lines::{Lines, LinesError, Portion, ShortLine};
pub use location::{Location, LocationError};
pub use movement::{Kind, MOST_ON_HAND, Movement, Net, fits, net};
pub use reservation::{Asking, End, Ending, Reason, Reservation, State, ask, end};
pub use stock::{Stock, Take};
