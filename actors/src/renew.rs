//! Fresh state for an actor whose mailbox lives on.
//!
//! actix's `ContextFut::restart` keeps the mailbox, clears the futures and calls `Supervised::restarting` on the *old*
//! struct, before `started`. That call is the only moment at which the whole state can be replaced, so the guardian
//! lays the factory ready on the thread, and [`renew`] takes it from there.

use std::any::Any;
use std::cell::RefCell;

use actix::{Actor, Context};

use crate::contain::contain;
use crate::reply::{AskError, with_cause};
use crate::{Exit, guardian::Factory};

enum Renewal {
    /// Nobody restarts anything.
    Idle,
    /// The futures are cleared; the state waits for its replacement.
    Clear,
    /// A factory is ready.
    Ready(Box<dyn Any>),
    /// The factory was used, and this came of it.
    Used(Box<dyn Any>, Result<(), Exit>),
}

thread_local! {
    static RENEWAL: RefCell<Renewal> = const { RefCell::new(Renewal::Idle) };
}

/// Replaces an actor's whole state by a new one from its factory. To be called from `Supervised::restarting`, and
/// nothing else should be done there; [`supervised!`](crate::supervised) writes that implementation.
pub fn renew<A: Actor<Context = Context<A>>>(actor: &mut A, ctx: &mut Context<A>) {
    let factory = RENEWAL.with(|slot| {
        let mut slot = slot.borrow_mut();
        match std::mem::replace(&mut *slot, Renewal::Idle) {
            Renewal::Ready(factory) => Some(factory),
            other => {
                *slot = other;
                None
            }
        }
    });
    let Some(factory) = factory else { return };
    match factory.downcast::<Factory<A>>() {
        Ok(mut factory) => {
            let made = contain("factory", || factory(ctx)).map(|fresh| {
                let old = std::mem::replace(actor, fresh);
                // Replies that the fallen state still held.
                if let Err(exit) = contain("drop", || with_cause(AskError::Panicked, || drop(old))) {
                    tracing::warn!(%exit, "the old state of an actor panicked when it was dropped");
                }
            });
            RENEWAL.set(Renewal::Used(factory, made));
        }
        Err(factory) => RENEWAL.set(Renewal::Ready(factory)),
    }
}

/// Runs `restart` (which ends in [`renew`]) with the factory laid ready.
pub(crate) fn renewing<A: Actor<Context = Context<A>>>(
    factory: &mut Option<Factory<A>>,
    restart: impl FnOnce() -> bool,
) -> Result<(), Exit> {
    let Some(ready) = factory.take() else {
        return Err(Exit::Failed("its factory is gone".to_owned()));
    };
    RENEWAL.set(Renewal::Ready(Box::new(ready)));
    let restarted = contain("restarting", restart);
    let (back, made) = match RENEWAL.replace(Renewal::Idle) {
        Renewal::Used(back, made) => (back, made),
        Renewal::Ready(back) => {
            let kept = "Supervised::restarting kept the old state; it has to call viscount_actors::renew";
            (back, Err(Exit::Failed(kept.to_owned())))
        }
        Renewal::Idle | Renewal::Clear => return Err(Exit::Failed("its factory is gone".to_owned())),
    };
    *factory = back.downcast::<Factory<A>>().ok().map(|boxed| *boxed);
    match restarted {
        Ok(true) => made,
        Ok(false) => Err(Exit::Failed("its mailbox is gone".to_owned())),
        Err(exit) => Err(exit),
    }
}

/// Runs `restart` for the sake of clearing the futures only.
pub(crate) fn clearing(restart: impl FnOnce() -> bool) -> Result<(), Exit> {
    RENEWAL.set(Renewal::Clear);
    let cleared = contain("drop", restart);
    RENEWAL.set(Renewal::Idle);
    cleared.map(|_| ())
}

/// Implements `actix::Supervised` for actors that run under [`Supervisor::actor`](crate::Supervisor::actor): a restart
/// replaces the whole state by a new one from the factory.
///
/// ```
/// # use actix::{Actor, Context};
/// struct Clerk { served: u32 }
/// impl Actor for Clerk { type Context = Context<Self>; }
/// viscount_actors::supervised!(Clerk);
/// ```
#[macro_export]
macro_rules! supervised {
    ($($actor:ty),+ $(,)?) => {$(
        impl ::actix::Supervised for $actor {
            fn restarting(&mut self, ctx: &mut Self::Context) {
                $crate::renew(self, ctx);
            }
        }
    )+};
}
