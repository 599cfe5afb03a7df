//! One guarded actor as its supervisor sees it.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::node::{Managed, Node, next_id};
use super::snapshot::{State, TreeNode};
use crate::actor_ref::Admission;
use crate::exits::{ExitFilter, Exits, KeptExit, OF_ONE};
use crate::faults::Faults;
use crate::guardian::{Overseer, Verdict};
use crate::lever::{Command, Lever};
use crate::metrics::ChildMetrics;
use crate::policy::Falls;
use crate::watchdog::{Pulse, SLOW};
use crate::{Exit, Restart};

/// How long a forced end may take. It is a matter of one poll, unless the arbiter's thread is blocked.
pub(crate) const FORCE: Duration = Duration::from_secs(1);

/// How a child is brought to a graceful end.
pub(crate) enum Drain {
    /// It is dropped at its next await point.
    Drop,
    /// It is told, and ends by itself.
    Signal(watch::Sender<bool>),
    /// It accepts nothing more, and stops when its mailbox is empty.
    Mailbox(Arc<Admission>),
}

pub(crate) struct Child {
    id: u64,
    pub(crate) name: &'static str,
    pub(crate) path: Arc<str>,
    pub(crate) kind: &'static str,
    restart: Restart,
    pub(crate) lever: Arc<Lever>,
    pub(crate) state: watch::Sender<State>,
    facts: Mutex<Facts>,
    metrics: ChildMetrics,
    pub(crate) pulse: Pulse,
    drain: Drain,
}

struct Facts {
    up_since: Option<Instant>,
    fell_at: Option<Instant>,
    restarts: u64,
    last_exit: Option<Exit>,
    exits: Exits,
}

impl Child {
    pub(crate) fn new(
        node: &Node,
        name: &'static str,
        kind: &'static str,
        restart: Restart,
        drain: Drain,
    ) -> Arc<Child> {
        let facts = Facts {
            up_since: None,
            fell_at: None,
            restarts: 0,
            last_exit: None,
            exits: Exits::at_most(OF_ONE),
        };
        Arc::new(Child {
            id: next_id(),
            name,
            path: format!("{}/{name}", node.path).into(),
            kind,
            restart,
            lever: Arc::default(),
            state: watch::Sender::new(State::Starting),
            facts: Mutex::new(facts),
            metrics: ChildMetrics::new(node.service, name),
            pulse: node.heart.pulse(name),
            drain,
        })
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.facts.lock().restarts
    }

    pub(crate) fn last_exit(&self) -> Option<Exit> {
        self.facts.lock().last_exit.clone()
    }

    /// The exit with which it ended for good.
    pub(crate) async fn ended(&self) -> Exit {
        self.reaches(|state| state == State::Ended).await;
        self.last_exit().unwrap_or(Exit::Stopped)
    }

    /// It never came to life: its arbiter or its supervisor is gone.
    pub(crate) fn stillborn(&self) {
        self.facts.lock().last_exit = Some(Exit::Stopped);
        self.state.send_replace(State::Ended);
    }

    /// What the message was that an actor panicked over.
    fn message_kind(&self, exit: &Exit) -> Option<String> {
        match (&self.drain, exit) {
            (Drain::Mailbox(admission), Exit::Panicked { .. }) => admission.take_lost().map(str::to_owned),
            _ => None,
        }
    }

    async fn reaches(&self, wanted: impl FnMut(State) -> bool + Send) {
        let mut wanted = wanted;
        // An error would mean that the sender is gone; it lives in self.
        let _ = self.state.subscribe().wait_for(|state| wanted(*state)).await;
    }

    async fn stop_by(&self, until: Instant) -> bool {
        let gracefully = async {
            match &self.drain {
                Drain::Drop => self.lever.send(Command::Stop),
                Drain::Signal(signal) => {
                    signal.send_replace(true);
                    // Between two incarnations there is nobody to hear the signal.
                    if *self.state.borrow() != State::Running {
                        self.lever.send(Command::Stop);
                    }
                }
                Drain::Mailbox(admission) => {
                    admission.drain().await;
                    self.lever.send(Command::Stop);
                }
            }
            self.reaches(|state| state == State::Ended).await;
        };
        if timeout_at(until, gracefully).await.is_ok() {
            return true;
        }
        self.lever.send(Command::Kill);
        let _ = timeout(FORCE, self.reaches(|state| state == State::Ended)).await;
        false
    }
}

impl Managed for Child {
    fn id(&self) -> u64 {
        self.id
    }

    fn halt(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.lever.send(Command::Halt);
            self.reaches(|state| matches!(state, State::Down | State::Ended)).await;
        }
        .boxed()
    }

    fn start(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move {
            if !matches!(*self.state.borrow(), State::Down) {
                return;
            }
            self.state.send_replace(State::Starting);
            self.lever.send(Command::Start);
            self.reaches(|state| state != State::Starting).await;
        }
        .boxed()
    }

    fn stop(self: Arc<Self>, until: Instant, forced: Arc<Mutex<Vec<String>>>) -> BoxFuture<'static, ()> {
        async move {
            if !self.stop_by(until).await {
                forced.lock().push(self.path.to_string());
            }
        }
        .boxed()
    }

    fn snapshot(&self) -> TreeNode {
        let mut node = TreeNode::new(&self.path, self.name, self.kind, *self.state.borrow());
        let facts = self.facts.lock();
        node.restart = Some(self.restart);
        node.uptime_seconds = facts.up_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        node.restarts = facts.restarts;
        node.last_exit = facts.last_exit.clone();
        node.stuck = self.pulse.stuck();
        let mut stuck_for = self.pulse.blocked_for();
        if let Drain::Mailbox(admission) = &self.drain {
            let waits = admission.without_progress(Instant::now()).filter(|waits| *waits > SLOW);
            stuck_for = stuck_for.or(waits.filter(|_| node.state == State::Running));
            node.mailbox_depth = Some(admission.depth());
            node.mailbox_capacity = Some(admission.capacity());
        }
        node.stuck_seconds = stuck_for.map(|stuck_for| stuck_for.as_secs_f64());
        node
    }

    fn exits(&self, filter: &ExitFilter, found: &mut Vec<Arc<KeptExit>>) {
        self.facts.lock().exits.find(filter, found);
    }

    fn crash(&self, path: &str) -> bool {
        let mine = *self.path == *path;
        if mine {
            self.lever.send(Command::Crash);
        }
        mine
    }

    /// Only routers have entities.
    fn release(&self, _: &str, _: &str) -> bool {
        false
    }

    fn inspect(&self, now: Instant) {
        if let Drain::Mailbox(admission) = &self.drain
            && *self.state.borrow() == State::Running
            && let Some(since) = admission.stuck(now)
        {
            self.pulse.waits_in_vain(since);
        }
    }
}

/// Speaks for a node of the tree to the guardian of one of its children.
pub(crate) struct NodeOverseer {
    node: Arc<Node>,
    child: Arc<Child>,
    restart: Restart,
    /// Its own falls within its supervisor's window: the more, the longer the pause.
    falls: Falls,
}

impl NodeOverseer {
    pub(crate) fn new(node: Arc<Node>, child: Arc<Child>, restart: Restart) -> NodeOverseer {
        let falls = Falls::within(node.intensity().window);
        NodeOverseer { node, child, restart, falls }
    }

    pub(crate) fn faults(&self) -> Faults {
        self.node.faults.clone()
    }
}

impl Overseer for NodeOverseer {
    fn up(&mut self) {
        let mut facts = self.child.facts.lock();
        facts.up_since = Some(Instant::now());
        if let Some(fell_at) = facts.fell_at.take() {
            self.child.metrics.recovery.record(fell_at.elapsed().as_secs_f64());
        }
        drop(facts);
        self.child.metrics.up.set(1.0);
        self.child.state.send_replace(State::Running);
    }

    fn fell(&mut self, exit: &Exit) -> Verdict {
        self.child.metrics.up.set(0.0);
        let attempt = {
            let now = Instant::now();
            let mut facts = self.child.facts.lock();
            let uptime = facts.up_since.take().map_or(Duration::ZERO, |since| now.duration_since(since));
            facts.exits.keep(&self.child.path, None, exit, self.child.message_kind(exit), uptime);
            facts.fell_at = Some(now);
            facts.last_exit = Some(exit.clone());
            self.falls.count(now)
        };
        let verdict = self.node.fell(self.child.id, self.restart, attempt, exit);
        let (service, actor) = (self.node.service, self.child.name);
        if exit.is_failure() {
            tracing::warn!(service, actor, %exit, ?verdict, "actor fell");
        } else {
            tracing::debug!(service, actor, %exit, ?verdict, "actor ended");
        }
        if matches!(verdict, Verdict::Restart(_) | Verdict::Wait) {
            let mut facts = self.child.facts.lock();
            facts.restarts += 1;
            self.child.metrics.restarted(exit.label());
        }
        if let Verdict::Restart(pause) = verdict {
            self.child.metrics.backoff.set(pause.as_secs_f64());
            self.child.state.send_replace(State::BackingOff);
        }
        verdict
    }

    fn down(&mut self) {
        self.child.facts.lock().up_since = None;
        self.child.metrics.up.set(0.0);
        self.child.state.send_replace(State::Down);
    }

    fn ended(&mut self, exit: Exit) {
        {
            let mut facts = self.child.facts.lock();
            facts.up_since = None;
            // What fell and was then told not to come back is remembered for its fall.
            if exit != Exit::Stopped || facts.fell_at.is_none() {
                facts.last_exit = Some(exit);
            }
        }
        self.child.metrics.up.set(0.0);
        if self.restart == Restart::Temporary {
            self.node.disown(self.child.id);
        }
        self.child.state.send_replace(State::Ended);
    }
}
