//! What is measured: by the load itself, of the processes it runs against, and of the orders afterwards.

pub mod components;
pub mod finals;
pub mod histogram;
pub mod processes;
pub mod recorder;
pub mod usage;
