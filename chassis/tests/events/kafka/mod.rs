//! The engine on a real broker.

mod anew;
#[cfg(feature = "kafka-tls")]
mod authority;
mod conforming;
mod foreign;
mod garbage;
mod groups;
mod hall;
mod line;
mod outages;
mod passwords;
mod publishing;
mod redriving;
mod registry;
mod schemas;
#[cfg(feature = "kafka-tls")]
mod secured;
mod taking_over;
mod topics;
mod trouble;
