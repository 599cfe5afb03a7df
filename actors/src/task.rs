//! Supervised futures: each runs as the one future of an actix actor.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context};
use tokio::sync::watch;

use crate::Exit;
use crate::contain::staged;
use crate::lever::{Command, Lever};
use crate::tree::{Child, State};

/// The actor around one incarnation of a task.
pub(crate) struct TaskActor {
    lever: Arc<Lever>,
    /// What went wrong, if anything.
    work: Option<Pin<Box<dyn Future<Output = Option<String>>>>>,
}

impl TaskActor {
    pub(crate) fn new<E: Display>(
        lever: Arc<Lever>,
        work: impl Future<Output = Result<(), E>> + 'static,
    ) -> TaskActor {
        let work = async move { work.await.err().map(|error| error.to_string()) };
        TaskActor { lever, work: Some(Box::pin(work)) }
    }
}

impl Actor for TaskActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(work) = self.work.take() else { return };
        ctx.spawn(wrap_future::<_, Self>(staged("task", || work)).map(|error, task, ctx| {
            if let Some(error) = error {
                task.lever.leave(Exit::Failed(error));
            }
            ctx.stop();
        }));
    }
}

crate::supervised!(TaskActor);

/// A handle of a supervised task.
#[derive(Clone)]
pub struct TaskRef {
    child: Arc<Child>,
}

impl TaskRef {
    pub(crate) fn new(child: Arc<Child>) -> TaskRef {
        TaskRef { child }
    }

    /// `service/…/name`.
    pub fn path(&self) -> &str {
        &self.child.path
    }

    /// What it is at.
    pub fn state(&self) -> State {
        *self.child.state.borrow()
    }

    /// Waits until it is up.
    pub async fn running(&self) {
        let _ = self.child.state.subscribe().wait_for(|state| *state == State::Running).await;
    }

    /// How often it has been restarted.
    pub fn restarts(&self) -> u64 {
        self.child.restarts()
    }

    /// Why its last incarnation ended.
    pub fn last_exit(&self) -> Option<Exit> {
        self.child.last_exit()
    }

    /// Waits until it has ended for good, and says why.
    pub async fn ended(&self) -> Exit {
        self.child.ended().await
    }

    /// Fault injection: makes the running incarnation panic at its next turn.
    pub fn crash(&self) {
        self.child.lever.send(Command::Crash);
    }
}

impl std::fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskRef").field("path", &self.child.path).field("state", &self.state()).finish()
    }
}

/// Tells a task that it should come to its end.
#[derive(Debug, Clone)]
pub struct StopSignal {
    told: watch::Receiver<bool>,
}

impl StopSignal {
    pub(crate) fn new(told: watch::Receiver<bool>) -> StopSignal {
        StopSignal { told }
    }

    /// Whether it is time to stop.
    pub fn is_stopping(&self) -> bool {
        *self.told.borrow()
    }

    /// Waits until it is time to stop.
    pub async fn stopped(&self) {
        // An error means that the supervisor is gone: time to stop as well.
        let _ = self.told.clone().wait_for(|told| *told).await;
    }
}
