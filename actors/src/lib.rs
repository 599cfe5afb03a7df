//! Supervised actors on actix: panics contained, restarts with backoff and intensity, routers of entity actors,
//! bounded asks.
#![allow(clippy::disallowed_methods, reason = "this crate is where actix is wrapped, so that nobody else has to")]

mod actor_ref;
mod contain;
mod exit;
mod guardian;
mod lever;
pub mod metrics;
mod policy;
mod renew;
mod reply;
mod router;
mod task;
mod timers;
mod tree;
mod watchdog;

pub use actor_ref::ActorRef;
pub use contain::log_contained_panics;
pub use exit::Exit;
pub use policy::{Backoff, Intensity, Restart, Strategy};
pub use renew::renew;
pub use reply::{Answer, AskError, Reply};
pub use router::{Entity, LoadError, Next, Origin, Router, RouterSpec};
pub use task::{StopSignal, TaskRef};
pub use timers::{Tick, Timer};
pub use tree::{Fallen, State, StopTimeout, Supervisor, TreeNode};
pub use watchdog::BLOCKED_AFTER;
