//! The engine on a real broker.

mod conforming;
mod hall;
