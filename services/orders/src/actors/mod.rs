//! The living part: one actor per order, and the clock that wakes those that have waited too long.

mod counts;
mod deadlines;
mod order;

pub use counts::count_open;
pub use deadlines::cancel_overdue;
pub use order::{Deadlines, Env, EnvInner, OrderActor, Refusal, Request, Told};
