//! The engine on a real broker.

mod conforming;
mod groups;
mod hall;
mod outages;
mod publishing;
mod redriving;
mod registry;
mod schemas;
mod topics;
