//! What stands in the lists: rows made of what was heard, for the screen, for text and for JSON alike.

pub mod actors;
pub mod highlights;
pub mod lag;
pub mod orders;
pub mod services;
