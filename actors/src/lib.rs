//! Supervised actors on [actix]: let it crash, and answer anyway.
//!
//! actix gives actors, contexts and arbiters. It does not give supervision: its `Supervisor` does not survive a panic
//! in a handler, restarts with the state that has just proven bad, as fast as the processor allows, and its mailboxes
//! are bounded in name only. This crate closes these holes, in the semantics of Erlang/OTP and without leaving actix:
//!
//! - **Containment.** A panic in a handler, a future, a timer, `started`, `stopped`, a factory or a load ends one
//!   incarnation of one actor, never the process. A [`Reply`] that a panic drops says [`AskError::Panicked`].
//! - **Restart with fresh state.** The state is made anew by a factory, or loaded from the store. The mailbox lives on:
//!   messages queued behind a panic are answered by the next incarnation.
//! - **A tree of supervisors** ([`Supervisor`]) with [`Strategy`], [`Restart`] policy, [`Intensity`] in a sliding
//!   window and jittered exponential [`Backoff`]. What falls too often takes its supervisor along, and what the root
//!   cannot mend is told to the process.
//! - **Entity actors** ([`Entity`], [`Router`]): one actor per order, per product, per account, loaded on first use,
//!   put to rest when idle, bounded in number; each gets all that waits for it as one batch, and never are there two
//!   incarnations of one at a time.
//! - **Overload is an answer.** Every inbox has an end ([`AskError::Overloaded`]), every question a deadline.
//! - **Nothing is hidden.** The live tree is data ([`Supervisor::snapshot`]), everything that happens is counted
//!   ([`metrics`]), exits are typed ([`Exit`]), and a watchdog notices who makes no progress.
//!
//! # Example
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//! use viscount_actors::{AskError, Entity, Intensity, LoadError, Next, Origin, Reply, RouterSpec, Supervisor};
//!
//! /// Where the balances are kept.
//! type Store = Arc<Mutex<HashMap<u32, i64>>>;
//!
//! struct Account { id: u32, store: Store, balance: i64 }
//!
//! enum Order {
//!     Deposit(i64, Reply<i64>),
//!     Panic(Reply<i64>),
//! }
//!
//! impl Entity for Account {
//!     const KIND: &'static str = "account";
//!     type Id = u32;
//!     type Env = Store;
//!     type Message = Order;
//!
//!     async fn load(id: u32, store: Store, _: Origin) -> Result<Self, LoadError> {
//!         let balance = store.lock().map_err(|e| LoadError(e.to_string()))?.get(&id).copied().unwrap_or(0);
//!         Ok(Account { id, store, balance })
//!     }
//!
//!     async fn handle(&mut self, orders: Vec<Order>) -> Next {
//!         for order in orders {
//!             match order {
//!                 Order::Deposit(amount, reply) => {
//!                     self.balance += amount;
//!                     self.store.lock().unwrap().insert(self.id, self.balance);
//!                     reply.send(self.balance);
//!                 }
//!                 Order::Panic(_reply) => {
//!                     self.balance = -1_000_000; // a broken invariant, and then …
//!                     panic!("a bug");
//!                 }
//!             }
//!         }
//!         Next::Continue
//!     }
//! }
//!
//! actix_rt::System::new().block_on(async {
//!     let root = Supervisor::root("bank", Intensity::default(), |exit| {
//!         eprintln!("the bank is closed: {exit}"); // become unready, exit non-zero
//!     });
//!     let accounts = root.router::<Account>(Store::default(), RouterSpec::default());
//!     let deadline = Duration::from_secs(5);
//!
//!     assert_eq!(accounts.ask(7, deadline, |reply| Order::Deposit(50, reply)).await, Ok(50));
//!     assert_eq!(accounts.ask(7, deadline, Order::Panic).await, Err(AskError::Panicked));
//!     // The next incarnation knows what was stored, and nothing of what was broken.
//!     assert_eq!(accounts.ask(7, deadline, |reply| Order::Deposit(1, reply)).await, Ok(51));
//!
//!     let tree = root.snapshot();
//!     assert_eq!(tree.find("bank/account").map(|node| node.restarts), Some(1));
//!     root.stop(Duration::from_secs(5)).await.expect("everything accepted has been answered");
//! });
//! ```
//!
//! # How it is built
//!
//! The *guardian* is one future around an actor. It polls actix's `ContextFut` under `catch_unwind`; after a panic it
//! asks its overseer (a node of the tree, or a router) what to do, drops the futures of the fallen incarnation, waits
//! out the backoff and restarts the context in place, which keeps the mailbox while the state is made anew
//! ([`renew`]).
//!
//! The *router* has one table behind one short lock. A message goes from the asker's thread straight into its entity's
//! inbox; the entity, a guarded actix actor on the router's arbiter, takes all that waits when its turn comes. An
//! entity leaves by asking, under the lock and with its state already dropped, whether anything waits: that is why no
//! message is lost between two incarnations.
//!
//! # What it asks of you
//!
//! - `panic = "unwind"` in every profile.
//! - An actix `System` on the thread where [`Supervisor::root`] is called. Handles work from anywhere.
//! - Handlers that do not block their thread. Blocking or heavy work belongs on `spawn_blocking`.
//! - State that can be thrown away at any moment. A panic while another panic unwinds aborts the process: keep `Drop`
//!   of entities and messages plain.
//! - A message answered `Panicked` or `TimedOut` may have taken effect. Make messages idempotent and ask again.
#![allow(
    clippy::disallowed_methods,
    reason = "this crate is where actix is wrapped, so that nobody else has to"
)]

mod actor_ref;
mod contain;
mod exit;
mod exits;
pub mod faults;
mod guardian;
mod lever;
pub mod metric;
pub mod metrics;
mod panics;
mod policy;
mod renew;
mod reply;
mod router;
mod task;
pub mod timers;
mod tree;
mod watchdog;

pub use actor_ref::ActorRef;
pub use exit::Exit;
pub use exits::{ExitFilter, ExitRecord};
pub use panics::log_contained_panics;
pub use policy::{Backoff, Intensity, Restart, Strategy};
pub use renew::renew;
pub use reply::{Answer, AskError, Reply};
pub use router::{Deadline, Entity, LoadError, Next, Origin, Overdue, Router, RouterSpec};
pub use task::{StopSignal, TaskRef};
pub use timers::{Tick, Timer};
pub use tree::{Fallen, Quarantined, SlowEntity, State, StopTimeout, Supervisor, TreeNode};
pub use watchdog::{BLOCKED_AFTER, SLOW};
