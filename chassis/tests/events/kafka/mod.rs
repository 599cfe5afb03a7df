//! The engine on a real broker.

mod anew;
mod conforming;
mod groups;
mod hall;
mod line;
mod outages;
mod publishing;
mod redriving;
mod registry;
mod schemas;
mod taking_over;
mod topics;
