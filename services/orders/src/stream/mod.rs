//! Each order, live: the story from any version on, then what happens, without a gap or a repeat.

mod hub;
mod session;

pub use hub::StreamHub;
pub use session::Session;
