//! The handle of one supervisor.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::channel::{AddressReceiver, channel};
use actix::{Actor, Addr, Context, Supervised};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::child::{Child, Drain, NodeOverseer};
use super::node::{Managed, Node};
use super::snapshot::{State, TreeNode};
use crate::actor_ref::{ActorRef, Admission};
use crate::exits::{ExitFilter, ExitRecord};
use crate::faults::Faults;
use crate::guardian::Guardian;
use crate::reply::after;
use crate::task::{StopSignal, TaskActor, TaskRef};
use crate::{Backoff, Exit, Intensity, Restart, Strategy};

/// One node of a service's supervision tree. A handle: clones speak of the same node, from any thread.
#[derive(Clone)]
pub struct Supervisor {
    pub(crate) node: Arc<Node>,
}

/// Some children did not end within the deadline and were ended by force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ended by force: {}", .children.join(", "))]
pub struct StopTimeout {
    /// Their paths.
    pub children: Vec<String>,
}

impl Supervisor {
    /// The root of a service's tree. All that is under it lives on the arbiter (the thread) where this is called.
    ///
    /// `on_failure` is called once, on that thread, when the root's own intensity is exceeded. By then everything in
    /// the tree has been stopped; the process should become unready and exit non-zero.
    ///
    /// # Panics
    /// Without a running actix `System` or `Arbiter` on this thread.
    pub fn root(
        service: &'static str,
        intensity: Intensity,
        on_failure: impl FnOnce(Exit) + Send + 'static,
    ) -> Supervisor {
        Supervisor { node: Node::root(service, intensity, Box::new(on_failure)) }
    }

    /// A supervisor under this one. When its intensity is exceeded it falls, which counts as a fall of one child here.
    pub fn child(&self, name: &'static str, strategy: Strategy, intensity: Intensity) -> Supervisor {
        Supervisor { node: Node::under(&self.node, name, strategy, intensity) }
    }

    /// Sets the pauses before restarts of this supervisor's children. Supervisors made under it later inherit them.
    #[must_use]
    pub fn with_backoff(self, backoff: Backoff) -> Supervisor {
        self.node.set_backoff(backoff);
        self
    }

    /// A supervised long-running future (a consumer, a committer, a relay), built anew by `factory` after each panic
    /// or `Err`. It runs inside an actix actor of its own; it need not be `Send`.
    ///
    /// At [`Supervisor::stop`] it is dropped at its next await point. A task that has something to finish first is
    /// made with [`Supervisor::task_with_stop`].
    pub fn task<F, Fut, E>(&self, name: &'static str, restart: Restart, factory: F) -> TaskRef
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + 'static,
        E: Display,
    {
        self.spawn_task(name, restart, Drain::Drop, factory)
    }

    /// As [`Supervisor::task`]; the future is told to stop by a [`StopSignal`] and has until the deadline of
    /// [`Supervisor::stop`] to return.
    pub fn task_with_stop<F, Fut, E>(&self, name: &'static str, restart: Restart, mut factory: F) -> TaskRef
    where
        F: FnMut(StopSignal) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + 'static,
        E: Display,
    {
        let signal = watch::Sender::new(false);
        let stop = StopSignal::new(signal.subscribe());
        self.spawn_task(name, restart, Drain::Signal(signal), move || factory(stop.clone()))
    }

    /// A supervised actix actor, built by `factory`, which is also called for each restart (see
    /// [`supervised!`](crate::supervised)). At most `mailbox` messages wait for it or are worked on.
    ///
    /// When it falls, the messages in its mailbox stay, and the next incarnation answers them.
    pub fn actor<A>(
        &self,
        name: &'static str,
        restart: Restart,
        mailbox: usize,
        factory: impl FnMut(&mut Context<A>) -> A + Send + 'static,
    ) -> ActorRef<A>
    where
        A: Actor<Context = Context<A>> + Supervised,
    {
        let admission = Admission::new(self.node.service, name, mailbox);
        let child = Child::new(&self.node, name, "actor", restart, Drain::Mailbox(Arc::clone(&admission)));
        // The bound is the admission's; the channel's own is none (it adds a free slot for every clone of an Addr).
        let (sender, receiver) = channel(0);
        let addr = Addr::new(sender);
        if self.node.adopt(Arc::clone(&child) as Arc<dyn Managed>) {
            self.spawn(&child, restart, receiver, addr.clone(), factory);
        } else {
            admission.close();
            child.stillborn();
        }
        ActorRef::new(addr, child, admission, self.node.arbiter.clone())
    }

    /// The live tree from here down.
    pub fn snapshot(&self) -> TreeNode {
        self.node.snapshot()
    }

    /// The last exits from here down, the latest first, at most `limit`.
    ///
    /// Names are looked up for the backtraces among them, which may take some hundred milliseconds the first time: call
    /// it where that disturbs nobody.
    pub fn exits(&self, filter: &ExitFilter, limit: usize) -> Vec<ExitRecord> {
        let mut found = Vec::new();
        self.node.exits(filter, &mut found);
        found.sort_by_key(|exit| std::cmp::Reverse(exit.at));
        found.truncate(limit);
        found.iter().map(|exit| exit.read()).collect()
    }

    /// What is to go wrong in this tree, on demand. Nothing, unless somebody allows it and asks for it.
    pub fn faults(&self) -> Faults {
        self.node.faults.clone()
    }

    /// Lets the entity `id` of the router at `path` (as in [`TreeNode::path`]) out of quarantine: the next message makes
    /// it anew. `false` when it is not quarantined.
    pub fn release(&self, path: &str, id: &str) -> bool {
        self.node.release(path, id)
    }

    /// What this supervisor is at.
    pub fn state(&self) -> State {
        self.node.phase()
    }

    /// Fault injection: makes the task, actor or router at `path` (as in [`TreeNode::path`]) panic at its next turn.
    /// `false` when there is none. For one entity see [`Router::crash`](crate::Router::crash).
    pub fn crash(&self, path: &str) -> bool {
        self.node.crash(path)
    }

    /// Ends everything under this supervisor for good, in the reverse order of its start: routers and actors accept
    /// nothing more and answer what they have accepted, tasks are told or dropped. What has not ended by the deadline
    /// is ended by force.
    ///
    /// # Errors
    /// Names what had to be forced.
    pub async fn stop(&self, deadline: Duration) -> Result<(), StopTimeout> {
        let forced = Arc::new(Mutex::new(Vec::new()));
        let until = after(Instant::now(), deadline);
        Arc::clone(&self.node).stop(until, Arc::clone(&forced)).await;
        let children = std::mem::take(&mut *forced.lock());
        if children.is_empty() { Ok(()) } else { Err(StopTimeout { children }) }
    }

    fn spawn_task<F, Fut, E>(
        &self,
        name: &'static str,
        restart: Restart,
        drain: Drain,
        mut factory: F,
    ) -> TaskRef
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + 'static,
        E: Display,
    {
        let child = Child::new(&self.node, name, "task", restart, drain);
        if self.node.adopt(Arc::clone(&child) as Arc<dyn Managed>) {
            let lever = Arc::clone(&child.lever);
            let (sender, receiver) = channel(0);
            let make = move |_: &mut Context<TaskActor>| TaskActor::new(Arc::clone(&lever), factory());
            self.spawn(&child, restart, receiver, Addr::new(sender), make);
        } else {
            child.stillborn();
        }
        TaskRef::new(child)
    }

    pub(crate) fn spawn<A>(
        &self,
        child: &Arc<Child>,
        restart: Restart,
        receiver: AddressReceiver<A>,
        keep: Addr<A>,
        factory: impl FnMut(&mut Context<A>) -> A + Send + 'static,
    ) where
        A: Actor<Context = Context<A>> + Supervised,
    {
        let (node, held) = (Arc::clone(&self.node), Arc::clone(child));
        let sent = self.node.arbiter.spawn_fn(move || {
            let overseer = NodeOverseer::new(node, Arc::clone(&held), restart);
            let (lever, pulse) = (Arc::clone(&held.lever), held.pulse.clone());
            // The handlers of a router are its entities'.
            let faults = (held.kind != "router").then(|| (held.name, overseer.faults()));
            let guardian = Guardian::new(receiver, keep, lever, overseer, Box::new(factory), pulse);
            actix_rt::spawn(guardian.with_faults(faults));
        });
        if !sent {
            child.stillborn();
        }
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("path", &self.node.path).finish_non_exhaustive()
    }
}
