//! One entity: the actix actor around it, its life from message to message, and what its guardian asks.

use std::future::poll_fn;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Supervised};
use tokio::time::Instant;

use super::shared::Shared;
use super::table::{Seat, Turn};
use super::{Entity, Next};
use crate::Exit;
use crate::contain::staged;
use crate::guardian::{Overseer, Verdict};
use crate::lever::Lever;
use crate::policy::Budget;
use crate::reply::cause;

/// After this many messages without a pause, an entity lets its neighbours have a turn.
const BUDGET: usize = 256;

pub(super) struct EntityActor<E: Entity> {
    shared: Arc<Shared<E>>,
    seat: Seat,
    lever: Arc<Lever>,
}

impl<E: Entity> EntityActor<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, seat: Seat, lever: Arc<Lever>) -> EntityActor<E> {
        EntityActor { shared, seat, lever }
    }
}

impl<E: Entity> Unpin for EntityActor<E> {}

impl<E: Entity> Actor for EntityActor<E> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let life = live(Arc::clone(&self.shared), self.seat);
        ctx.spawn(wrap_future::<_, Self>(life).map(|exit, actor, ctx| {
            actor.lever.leave(exit);
            ctx.stop();
        }));
    }
}

impl<E: Entity> Supervised for EntityActor<E> {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        crate::renew(self, ctx);
    }
}

/// The life of one entity: several incarnations of its state, one after another.
///
/// The state lives in this future, not in the actor: a panic drops both together.
async fn live<E: Entity>(shared: Arc<Shared<E>>, seat: Seat) -> Exit {
    let mut entity: Option<E> = None;
    let mut spent = 0;
    let mut now = None;
    loop {
        let loaded = entity.is_some();
        match poll_fn(|cx| shared.poll_turn(seat, loaded, now.take(), cx)).await {
            Turn::Load { id, origin, fell_at } => {
                let load = || E::load(id.clone(), shared.env.clone(), origin);
                match staged("load", load).await {
                    Ok(fresh) => {
                        if let Some(fell_at) = fell_at {
                            shared.recovered(&id, fell_at, fresh.state());
                        }
                        entity = Some(fresh);
                    }
                    Err(error) => {
                        shared.not_loaded(seat, &error.0);
                        return Exit::Failed(error.0);
                    }
                }
            }
            Turn::Batch(batch) => {
                let Some(state) = entity.as_mut() else { continue };
                if batch.messages.is_empty() {
                    continue;
                }
                let count = batch.messages.len();
                let began = Instant::now();
                let at_work = AtWork { shared: &shared, count, done: false };
                if shared.faults.are_armed()
                    && let Some(happens) = shared.fault_at(seat)
                {
                    staged("handle", || happens.happen()).await;
                }
                let next = staged("handle", || state.handle(batch.messages)).await;
                at_work.done();
                let ended = Instant::now();
                shared.mailbox.handle.record(ended.duration_since(began).as_secs_f64());
                match next {
                    Next::Continue => {}
                    Next::Reload => entity = None,
                    Next::Stop => shared.wants_to_leave(seat),
                }
                spent += count;
                if spent >= BUDGET {
                    spent = 0;
                    tokio::task::yield_now().await;
                } else {
                    now = Some(ended);
                }
            }
            Turn::Leave => {
                // First the state, then the seat: never two incarnations.
                entity = None;
                if shared.may_leave(seat) {
                    return Exit::Passivated;
                }
            }
            Turn::Gone => return Exit::Stopped,
        }
    }
}

/// The messages of one batch count as in flight until it is through, also when it ends in a panic.
struct AtWork<'a, E: Entity> {
    shared: &'a Shared<E>,
    count: usize,
    done: bool,
}

impl<E: Entity> AtWork<'_, E> {
    fn done(mut self) {
        self.done = true;
    }
}

impl<E: Entity> Drop for AtWork<'_, E> {
    fn drop(&mut self) {
        self.shared.leave(self.count);
        if !self.done {
            self.shared.mailbox.lost(self.count, cause().label());
        }
    }
}

/// Speaks for the router to the guardian of one entity.
pub(super) struct EntityOverseer<E: Entity> {
    shared: Arc<Shared<E>>,
    seat: Seat,
    budget: Budget,
}

impl<E: Entity> EntityOverseer<E> {
    pub(super) fn new(shared: Arc<Shared<E>>, seat: Seat) -> EntityOverseer<E> {
        let budget = Budget::new(shared.spec.intensity);
        EntityOverseer { shared, seat, budget }
    }
}

impl<E: Entity> Overseer for EntityOverseer<E> {
    fn up(&mut self) {}

    fn fell(&mut self, exit: &Exit) -> Verdict {
        match exit {
            // It gave its seat back before it ended.
            Exit::Normal | Exit::Passivated | Exit::Failed(_) | Exit::Stopped => Verdict::End,
            Exit::Panicked { .. } | Exit::Overdue(_) | Exit::Escalated(_) => {
                let now = Instant::now();
                self.shared.fell(self.seat, exit, now);
                let Some(attempt) = self.budget.take(now) else {
                    let service = self.shared.service;
                    tracing::error!(service, actor = E::KIND, %exit, "entity fell too often and is quarantined");
                    return Verdict::End;
                };
                let pause = self.shared.spec.backoff.delay(attempt);
                let pause_ms = pause.as_millis() as u64;
                tracing::warn!(service = self.shared.service, actor = E::KIND, %exit, pause_ms, "entity fell");
                self.shared.restarts_after(pause, exit);
                Verdict::Restart(pause)
            }
        }
    }

    fn down(&mut self) {
        self.shared.is_down(self.seat);
    }

    fn ended(&mut self, exit: Exit) {
        self.shared.ended(self.seat, &exit);
    }
}
