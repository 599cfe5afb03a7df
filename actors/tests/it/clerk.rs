//! An ordinary actix actor for the tests: it counts, and panics wherever it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use viscount_actors::{AskError, Reply, Restart, Supervisor};

use crate::house::{Diary, LONG};

/// A panic payload that is no text.
pub struct Odd;

/// Where the next incarnations shall panic, one after another.
#[derive(Clone, Default)]
pub struct Orders {
    list: Arc<Mutex<Vec<&'static str>>>,
    pub diary: Diary,
}

impl Orders {
    pub fn panic_in(&self, places: &[&'static str]) {
        self.list.lock().unwrap().extend(places);
    }

    fn here(&self, place: &'static str) {
        let mut list = self.list.lock().unwrap();
        if list.first() == Some(&place) {
            list.remove(0);
            drop(list);
            panic!("boom in {place}");
        }
    }
}

pub struct Clerk {
    pub served: u32,
    orders: Orders,
    /// Panics when it is dropped, if so told.
    drops: bool,
}

impl Clerk {
    pub fn new(orders: &Orders) -> Clerk {
        orders.diary.note("factory");
        orders.here("factory");
        Clerk { served: 0, orders: orders.clone(), drops: false }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        if self.drops {
            self.orders.here("drop");
        }
    }
}

impl Actor for Clerk {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.orders.diary.note("started");
        self.orders.here("started");
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        self.orders.diary.note("stopping");
        self.orders.here("stopping");
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.orders.diary.note("stopped");
        self.orders.here("stopped");
    }
}

viscount_actors::supervised!(Clerk);

/// Counts one; answers with the count.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Serve(pub Reply<u32>);

impl Handler<Serve> for Clerk {
    type Result = ();

    fn handle(&mut self, serve: Serve, _: &mut Self::Context) {
        self.served += 1;
        serve.0.send(self.served);
    }
}

/// The ways in which a clerk may fall over a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In the handler itself.
    Sync,
    /// In the handler, with a payload that is no text.
    Oddly,
    /// In the future that the handler returned.
    Async,
    /// In a future that the actor waits for.
    Waiting,
    /// In a future that was spawned into the context, the reply held by it.
    Spawned,
    /// In a timer of the context.
    Later,
    /// Also when its state is dropped.
    Twice,
}

pub const WAYS: [Way; 7] =
    [Way::Sync, Way::Oddly, Way::Async, Way::Waiting, Way::Spawned, Way::Later, Way::Twice];

#[derive(Message)]
#[rtype(result = "()")]
pub struct Fall(pub Way, pub Reply<u32>);

impl Handler<Fall> for Clerk {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Fall(way, reply): Fall, ctx: &mut Self::Context) -> Self::Result {
        let held = async move {
            let _reply = reply;
            tokio::task::yield_now().await;
            panic!("boom {way:?}");
        };
        let nothing = || Box::pin(actix::fut::ready(()));
        match way {
            Way::Sync => panic!("boom sync"),
            Way::Oddly => std::panic::panic_any(Odd),
            Way::Twice => {
                self.drops = true;
                self.orders.panic_in(&["drop"]);
                panic!("boom twice")
            }
            Way::Async => Box::pin(held.into_actor(self)),
            Way::Waiting => {
                ctx.wait(held.into_actor(self));
                nothing()
            }
            Way::Spawned => {
                ctx.spawn(held.into_actor(self));
                nothing()
            }
            Way::Later => {
                let kept = held;
                ctx.run_later(Duration::from_millis(1), move |_, _| {
                    let _kept = kept;
                    panic!("boom later")
                });
                nothing()
            }
        }
    }
}

/// Works for so long, keeping other messages waiting.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Work(pub Duration, pub Reply<u32>);

impl Handler<Work> for Clerk {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, Work(long, reply): Work, _: &mut Self::Context) -> Self::Result {
        AtomicResponse::new(Box::pin(tokio::time::sleep(long).into_actor(self).map(move |(), clerk, _| {
            clerk.served += 1;
            reply.send(clerk.served);
        })))
    }
}

/// Waits beside the mailbox; other messages pass.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ponder(pub Duration, pub Reply<u32>);

impl Handler<Ponder> for Clerk {
    type Result = ();

    fn handle(&mut self, Ponder(long, reply): Ponder, ctx: &mut Self::Context) {
        ctx.spawn(
            tokio::time::sleep(long).into_actor(self).map(move |(), clerk, _| reply.send(clerk.served)),
        );
    }
}

/// Panics in a `ResponseFuture`, of which plain actix would only say `Closed`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Detached(pub Reply<u32>);

impl Handler<Detached> for Clerk {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, detached: Detached, _: &mut Self::Context) -> Self::Result {
        Box::pin(async move {
            let _held = detached.0;
            tokio::task::yield_now().await;
            panic!("boom detached")
        })
    }
}

/// Is dropped without an answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ignore(pub Reply<u32>);

impl Handler<Ignore> for Clerk {
    type Result = ();

    fn handle(&mut self, ignore: Ignore, _: &mut Self::Context) {
        drop(ignore.0);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub Reply<u32>);

impl Handler<Leave> for Clerk {
    type Result = ();

    fn handle(&mut self, leave: Leave, ctx: &mut Self::Context) {
        leave.0.send(self.served);
        ctx.stop();
    }
}

pub type ClerkRef = viscount_actors::ActorRef<Clerk>;

pub fn hire(supervisor: &Supervisor, orders: &Orders) -> ClerkRef {
    hire_as(supervisor, Restart::Permanent, orders)
}

pub fn hire_as(supervisor: &Supervisor, restart: Restart, orders: &Orders) -> ClerkRef {
    let orders = orders.clone();
    supervisor.actor("clerk", restart, 64, move |_| Clerk::new(&orders))
}

pub async fn serve(clerk: &ClerkRef) -> Result<u32, AskError> {
    clerk.ask(LONG, Serve).await
}

pub async fn fall(clerk: &ClerkRef, way: Way) -> Result<u32, AskError> {
    clerk.ask(LONG, |reply| Fall(way, reply)).await
}

impl Clerk {
    pub fn note(&self, what: &str) {
        self.orders.diary.note(what);
    }
}
