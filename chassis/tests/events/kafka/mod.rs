//! The engine on a real broker.

mod conforming;
mod foreign;
mod garbage;
mod groups;
mod hall;
mod outages;
mod publishing;
mod redriving;
mod topics;
