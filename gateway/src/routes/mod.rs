//! What the door leads to: the table, as data, and how a path finds its row.

mod router;
mod service;
mod table;

pub use router::{Match, Router};
pub use service::Service;
pub use table::{Access, LimitClass, Own, ROUTES, Route, Target};
