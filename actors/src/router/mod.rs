//! Routers of entity actors: from an id to the one actor that holds the entity's state.
//!
//! A message goes from the asker's thread straight into the inbox of its entity: one short lock, no hop. The entity, an
//! actix actor under its own guardian on the router's arbiter, takes all that waits for it at once.

mod actor;
mod entity;
mod kinds;
mod life;
mod member;
mod quarantine;
mod shared;
mod slab;
mod spec;
mod table;

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix::dev::channel::channel;
use tokio::time::Instant;

pub use entity::{Entity, LoadError, Next, Origin};
pub use spec::{Deadline, Overdue, RouterSpec};

use self::actor::RouterActor;
use self::member::Member;
use self::shared::Shared;
use crate::reply::{Reply, after};
use crate::tree::{Child, Drain, Managed};
use crate::{AskError, Restart, Supervisor};

/// A handle of a router, usable from any thread and from any tokio task; clones speak to the same router.
pub struct Router<E: Entity> {
    shared: Arc<Shared<E>>,
}

impl<E: Entity> Clone for Router<E> {
    fn clone(&self) -> Self {
        Router { shared: Arc::clone(&self.shared) }
    }
}

impl Supervisor {
    /// A router of entity actors, named [`Entity::KIND`], as a child of this supervisor. Its entities fall and restart
    /// on their own account; only the router itself could fall on this supervisor's.
    pub fn router<E: Entity>(&self, env: E::Env, spec: RouterSpec) -> Router<E> {
        let child = Child::new(&self.node, E::KIND, "router", Restart::Permanent, Drain::Drop);
        let (sender, receiver) = channel(0);
        let addr = Addr::new(sender);
        let shared = Shared::new(
            self.node.service,
            env,
            spec,
            addr.clone(),
            Arc::clone(&child.path),
            child.pulse.clone(),
            self.node.faults.clone(),
        );
        let member = Arc::new(Member { child: Arc::clone(&child), shared: Arc::clone(&shared) });
        if self.node.adopt(member as Arc<dyn Managed>) {
            let held = Arc::clone(&shared);
            self.spawn(&child, Restart::Permanent, receiver, addr, move |_| {
                RouterActor::new(Arc::clone(&held))
            });
        } else {
            shared.close();
            child.stillborn();
        }
        Router { shared }
    }
}

impl<E: Entity> Router<E> {
    /// Sends the message that `make` builds around a [`Reply`] to the entity `id`, and waits for the answer until
    /// `deadline` from now. A message that has not been taken up by then is thrown away.
    ///
    /// An entity must not ask itself: the answer could only come after the batch that waits for it.
    ///
    /// # Errors
    /// See [`AskError`]. After `TimedOut` and `Panicked` it is not known whether the message took effect.
    pub async fn ask<R: Send + 'static>(
        &self,
        id: E::Id,
        deadline: Duration,
        make: impl FnOnce(Reply<R>) -> E::Message,
    ) -> Result<R, AskError> {
        self.put_question(id, Origin::Stored, deadline, make).await
    }

    /// As [`Router::ask`], by a caller who knows that nothing is stored under this id (it has just been made). If the
    /// entity is not alive it is made without reading the store.
    ///
    /// # Errors
    /// As [`Router::ask`].
    pub async fn ask_new<R: Send + 'static>(
        &self,
        id: E::Id,
        deadline: Duration,
        make: impl FnOnce(Reply<R>) -> E::Message,
    ) -> Result<R, AskError> {
        self.put_question(id, Origin::New, deadline, make).await
    }

    async fn put_question<R: Send + 'static>(
        &self,
        id: E::Id,
        origin: Origin,
        deadline: Duration,
        make: impl FnOnce(Reply<R>) -> E::Message,
    ) -> Result<R, AskError> {
        let now = Instant::now();
        let until = after(now, deadline);
        let entered = self.shared.enter()?;
        let (reply, answer) = Reply::channel();
        self.shared.push(id, origin, Some(until), now, make(reply))?;
        entered.keep();
        answer.until(until).await
    }

    /// Sends a message whose answer nobody waits for, under the same bounds.
    ///
    /// # Errors
    /// [`AskError::Overloaded`], [`AskError::Unavailable`] or [`AskError::Stopping`]; the message was dropped.
    pub fn tell(&self, id: E::Id, message: E::Message) -> Result<(), AskError> {
        let entered = self.shared.enter()?;
        self.shared.push(id, Origin::Stored, None, Instant::now(), message)?;
        entered.keep();
        Ok(())
    }

    /// Entities alive.
    pub fn live(&self) -> usize {
        self.shared.live()
    }

    /// Messages accepted and not yet finished.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// Entities that are quarantined.
    pub fn quarantined(&self) -> usize {
        self.shared.quarantined()
    }

    /// Fault injection: makes the actor of `id` panic at its next turn. `false` when it is not alive.
    pub fn crash(&self, id: E::Id) -> bool {
        self.shared.crash(&id)
    }
}

impl<E: Entity> std::fmt::Debug for Router<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("kind", &E::KIND).field("live", &self.live()).finish()
    }
}
