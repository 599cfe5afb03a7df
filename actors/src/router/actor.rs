//! The router's own actor: it gives new entities their guardians and sees to what has to be done from time to time.
//!
//! Messages do not pass through it; they go straight into the entity's inbox. All it knows is in the table, so that its
//! own restart loses nothing.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::channel::channel;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Supervised};

use super::Entity;
use super::life::{EntityActor, EntityOverseer};
use super::shared::Shared;
use crate::guardian::Guardian;

/// Entities wait for their guardians.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Nudge;

pub(super) struct RouterActor<E: Entity> {
    shared: Arc<Shared<E>>,
}

impl<E: Entity> RouterActor<E> {
    pub(super) fn new(shared: Arc<Shared<E>>) -> RouterActor<E> {
        RouterActor { shared }
    }

    fn bear(&self) {
        for (seat, lever) in self.shared.births() {
            let (sender, receiver) = channel(0);
            let overseer = EntityOverseer::new(Arc::clone(&self.shared), seat);
            let (shared, held) = (Arc::clone(&self.shared), Arc::clone(&lever));
            let factory = move |_: &mut Context<EntityActor<E>>| {
                EntityActor::new(Arc::clone(&shared), seat, Arc::clone(&held))
            };
            let pulse = self.shared.pulse.clone();
            actix_rt::spawn(Guardian::new(
                receiver,
                Addr::new(sender),
                lever,
                overseer,
                Box::new(factory),
                pulse,
            ));
        }
    }
}

impl<E: Entity> Unpin for RouterActor<E> {}

impl<E: Entity> Actor for RouterActor<E> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.bear();
        let period = (self.shared.spec.idle / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
        ctx.run_interval(period, |router, _| router.shared.tick());
    }
}

impl<E: Entity> Supervised for RouterActor<E> {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        crate::renew(self, ctx);
    }
}

impl<E: Entity> Handler<Nudge> for RouterActor<E> {
    type Result = ();

    fn handle(&mut self, _: Nudge, _: &mut Context<Self>) {
        self.bear();
    }
}
