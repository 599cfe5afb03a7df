//! What a service writes: one kind of entity actor.

use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;

/// An entity actor: one order, one product, one account. There is at most one incarnation of it at a time behind a
/// [`Router`](crate::Router), so that it may decide on the state it holds.
pub trait Entity: Sized + 'static {
    /// Its name in paths and metrics.
    const KIND: &'static str;
    /// What tells it from others of its kind.
    type Id: Clone + Eq + Hash + Display + Send + Sync + 'static;
    /// What it needs of the world: store, clock, other routers.
    type Env: Clone + Send + Sync + 'static;
    /// What it is asked; a [`Reply`](crate::Reply) inside carries the answer back.
    type Message: Send + 'static;

    /// A fresh incarnation, from the store.
    ///
    /// Called only when a message waits. An `Err` answers all that wait with
    /// [`AskError::Unavailable`](crate::AskError::Unavailable) at once (the askers know best whether to try again) and
    /// forgets the entity; a panic counts as a fall and is tried again after the backoff.
    fn load(
        id: Self::Id,
        env: Self::Env,
        origin: Origin,
    ) -> impl Future<Output = Result<Self, LoadError>> + 'static;

    /// Everything that waits, oldest first: 1 to [`RouterSpec::batch`](crate::RouterSpec::batch) messages. Only one
    /// `handle` runs at a time.
    ///
    /// A panic throws this incarnation away; replies of this batch that have not been sent say `Panicked`, and what
    /// waits behind it is answered by the next incarnation.
    fn handle(&mut self, messages: Vec<Self::Message>) -> impl Future<Output = Next>;

    /// The name of a message's kind, for exits and deadlines; empty where kinds have no names. Called once per message:
    /// a match and nothing more. Never anything of what is in the message.
    fn kind(_message: &Self::Message) -> &'static str {
        ""
    }

    /// What to show of it on an operations page. Asked when it was loaded again after a fall.
    fn state(&self) -> String {
        String::new()
    }
}

/// What the caller knows of an entity that is not alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// There may be something in the store.
    Stored,
    /// Nothing is stored under this id, so that nothing needs to be read.
    New,
}

/// What follows a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The state is good; go on with it.
    Continue,
    /// Drop the state and load it again before the next message.
    Reload,
    /// Passivate now. What waits is answered by the next incarnation.
    Stop,
}

/// The store did not give an entity's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);
