//! What is kept: users (with their events, through the committer), sessions and clients.

mod clients;
mod first_start;
mod sessions;
mod users;
mod writer;

pub use clients::{Client, Clients};
pub use first_start::{FirstStart, Turn};
pub use sessions::{Renewal, Sessions};
pub use users::{Profile, Users};
pub use writer::{EMAIL_TAKEN, UserWriter};
