//! What is measured: by the load itself, of the processes it runs against, and of the orders afterwards.

pub mod histogram;
pub mod recorder;
