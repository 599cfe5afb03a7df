//! What runs beside the requests, supervised.

mod prober;
mod sweeper;

pub use prober::Prober;
pub use sweeper::sweep;
