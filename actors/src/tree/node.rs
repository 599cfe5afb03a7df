//! One supervisor: its children, its window of restarts, and its word on a child that fell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_rt::ArbiterHandle;
use futures_util::future::{BoxFuture, FutureExt};
use metrics::Gauge;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::snapshot::{State, TreeNode};
use super::wave;
use crate::exits::{ExitFilter, Exits, KeptExit, OF_ONE};
use crate::faults::Faults;
use crate::guardian::Verdict;
use crate::metrics::budget_gauge;
use crate::policy::{Budget, Falls};
use crate::watchdog::Heart;
use crate::{Backoff, Exit, Intensity, Restart, Strategy};

/// What a supervisor has under it: a guarded actor, a router, another supervisor.
pub(crate) trait Managed: Send + Sync {
    /// Grows with every child, so that it also tells who was started later.
    fn id(&self) -> u64;
    /// Throws its incarnation away; done when it is down.
    fn halt(self: Arc<Self>) -> BoxFuture<'static, ()>;
    /// Starts it after a halt; done when it is up, or has ended, or has fallen again.
    fn start(self: Arc<Self>) -> BoxFuture<'static, ()>;
    /// Ends it for good: gracefully until `until`, then by force. What had to be forced adds its path to `forced`.
    fn stop(self: Arc<Self>, until: Instant, forced: Arc<Mutex<Vec<String>>>) -> BoxFuture<'static, ()>;
    fn snapshot(&self) -> TreeNode;
    /// Adds the exits that are kept here and below.
    fn exits(&self, filter: &ExitFilter, found: &mut Vec<Arc<KeptExit>>);
    /// Makes the child at `path` panic; `false` when it is not here.
    fn crash(&self, path: &str) -> bool;
    /// Lets an entity of the router at `path` out of quarantine; `false` when it is not there.
    fn release(&self, path: &str, id: &str) -> bool;
    /// Looks after what changes by itself: budgets that recover, actors that make no progress.
    fn inspect(&self, now: Instant);
}

pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

const INSPECT_EVERY: Duration = Duration::from_secs(1);

pub(crate) type OnFailure = Box<dyn FnOnce(Exit) + Send>;

pub(crate) struct Node {
    id: u64,
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    pub(crate) path: Arc<str>,
    pub(crate) arbiter: ArbiterHandle,
    pub(crate) heart: Arc<Heart>,
    pub(crate) faults: Faults,
    strategy: Strategy,
    pub(super) parent: Option<Arc<Node>>,
    pub(super) on_failure: Mutex<Option<OnFailure>>,
    budget: Gauge,
    state: Mutex<NodeState>,
}

struct NodeState {
    phase: State,
    children: Vec<Arc<dyn Managed>>,
    restarts_left: Budget,
    backoff: Backoff,
    /// Counts what concerns several children at once; whoever carries out an older one stops.
    wave: u64,
    /// The first child that the wave under way has not started yet.
    wave_from: u64,
    up_since: Instant,
    restarts: u64,
    /// Its own falls within its parent's window.
    falls: Falls,
    last_exit: Option<Exit>,
    exits: Exits,
}

impl NodeState {
    fn note_exit(&mut self, path: &Arc<str>, exit: &Exit) {
        self.last_exit = Some(exit.clone());
        self.exits.keep(path, None, exit, None, self.up_since.elapsed());
    }
}

impl Node {
    pub(crate) fn root(service: &'static str, intensity: Intensity, on_failure: OnFailure) -> Arc<Node> {
        let path = service.into();
        let arbiter = actix_rt::Arbiter::current();
        let heart = Heart::new(service);
        let strategy = Strategy::OneForOne;
        let node =
            Node::new(service, service, path, arbiter, heart, strategy, intensity, None, Some(on_failure));
        let inspected = Arc::clone(&node);
        node.arbiter.spawn(async move {
            while !matches!(inspected.phase(), State::Ended | State::Failed) {
                tokio::time::sleep(INSPECT_EVERY).await;
                inspected.inspect(Instant::now());
            }
        });
        node
    }

    pub(crate) fn under(
        parent: &Arc<Node>,
        name: &'static str,
        strategy: Strategy,
        intensity: Intensity,
    ) -> Arc<Node> {
        let path = format!("{}/{name}", parent.path).into();
        let (arbiter, heart) = (parent.arbiter.clone(), Arc::clone(&parent.heart));
        let node = Node::new(
            parent.service,
            name,
            path,
            arbiter,
            heart,
            strategy,
            intensity,
            Some(Arc::clone(parent)),
            None,
        );
        node.set_backoff(parent.state.lock().backoff);
        if !parent.adopt(Arc::clone(&node) as Arc<dyn Managed>) {
            node.state.lock().phase = State::Ended;
        }
        node
    }

    #[expect(clippy::too_many_arguments, reason = "the one constructor behind root and under")]
    fn new(
        service: &'static str,
        name: &'static str,
        path: Arc<str>,
        arbiter: ArbiterHandle,
        heart: Arc<Heart>,
        strategy: Strategy,
        intensity: Intensity,
        parent: Option<Arc<Node>>,
        on_failure: Option<OnFailure>,
    ) -> Arc<Node> {
        let outer = parent.as_ref().map_or(intensity.window, |parent| parent.intensity().window);
        let budget = budget_gauge(service, name);
        let faults = parent.as_ref().map_or_else(|| Faults::new(service), |parent| parent.faults.clone());
        budget.set(f64::from(intensity.max_restarts));
        Arc::new(Node {
            id: next_id(),
            service,
            name,
            path,
            arbiter,
            heart,
            faults,
            strategy,
            parent,
            on_failure: Mutex::new(on_failure),
            budget,
            state: Mutex::new(NodeState {
                phase: State::Running,
                children: Vec::new(),
                restarts_left: Budget::new(intensity),
                backoff: Backoff::default(),
                wave: 0,
                wave_from: u64::MAX,
                up_since: Instant::now(),
                restarts: 0,
                falls: Falls::within(outer),
                last_exit: None,
                exits: Exits::at_most(OF_ONE),
            }),
        })
    }

    pub(crate) fn set_backoff(&self, backoff: Backoff) {
        self.state.lock().backoff = backoff;
    }

    pub(crate) fn intensity(&self) -> Intensity {
        self.state.lock().restarts_left.intensity()
    }

    pub(crate) fn phase(&self) -> State {
        self.state.lock().phase
    }

    /// Takes a child in; `false` when this supervisor is over.
    pub(crate) fn adopt(&self, child: Arc<dyn Managed>) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, State::Stopping | State::Ended | State::Failed) {
            return false;
        }
        if state.phase == State::Down {
            // It comes up with its siblings.
            self.arbiter.spawn(Arc::clone(&child).halt());
        }
        state.children.push(child);
        true
    }

    /// Forgets a child that ended and whose policy never starts it again.
    pub(crate) fn disown(&self, id: u64) {
        self.state.lock().children.retain(|child| child.id() != id);
    }

    /// A child's incarnation ended. `attempt` counts its falls in a row.
    pub(crate) fn fell(self: &Arc<Self>, child: u64, restart: Restart, attempt: u32, exit: &Exit) -> Verdict {
        let mut state = self.state.lock();
        if !restart.wants(exit) {
            return Verdict::End;
        }
        match state.phase {
            State::Stopping | State::Ended => return Verdict::End,
            // Kept down from above, or given up: whoever decides about this node decides about the child.
            State::Down | State::Failed => return Verdict::Hold,
            State::Starting | State::Running | State::BackingOff => {}
        }
        let now = Instant::now();
        let admitted = state.restarts_left.take(now).is_some();
        self.budget.set(f64::from(state.restarts_left.remaining(now)));
        if !admitted {
            state.phase = State::Failed;
            state.wave += 1;
            state.last_exit = Some(exit.clone());
            actix_rt::spawn(wave::give_up(Arc::clone(self), state.wave, exit.clone()));
            return Verdict::Hold;
        }
        let pause = state.backoff.delay(attempt);
        let from = match self.strategy {
            Strategy::OneForOne => return Verdict::Restart(pause),
            Strategy::OneForAll => 0,
            Strategy::RestForOne => child,
        };
        // A wave that is overtaken hands its children over to the new one.
        state.wave_from = if state.phase == State::BackingOff { state.wave_from.min(from) } else { from };
        state.phase = State::BackingOff;
        state.wave += 1;
        actix_rt::spawn(wave::restart_several(Arc::clone(self), state.wave, state.wave_from, pause));
        Verdict::Wait
    }

    pub(super) fn children_from(&self, id: u64) -> Vec<Arc<dyn Managed>> {
        self.state.lock().children.iter().filter(|child| child.id() >= id).cloned().collect()
    }

    pub(super) fn is_current(&self, wave: u64) -> bool {
        self.state.lock().wave == wave
    }

    /// The wave has started all children up to `child`, so that a later fall need not take them along again.
    pub(super) fn started(&self, wave: u64, child: u64) {
        let mut state = self.state.lock();
        if state.wave == wave {
            state.wave_from = child + 1;
        }
    }

    /// The wave is through: all children are up.
    pub(super) fn settled(&self, wave: u64) {
        let mut state = self.state.lock();
        if state.wave == wave {
            state.phase = State::Running;
        }
    }

    /// Its own fall: how often in a row, for the parent's backoff.
    pub(super) fn count_fall(&self, exit: &Exit) -> u32 {
        let mut state = self.state.lock();
        state.restarts += 1;
        state.note_exit(&self.path, exit);
        state.falls.count(Instant::now())
    }

    /// The root gave up.
    pub(super) fn note_exit(&self, exit: &Exit) {
        self.state.lock().note_exit(&self.path, exit);
    }

    pub(super) fn enter(&self, phase: State) -> u64 {
        let mut state = self.state.lock();
        state.phase = phase;
        state.wave += 1;
        state.wave
    }
}

impl Managed for Node {
    fn id(&self) -> u64 {
        self.id
    }

    fn halt(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move {
            {
                let mut state = self.state.lock();
                if matches!(state.phase, State::Stopping | State::Ended) {
                    return;
                }
                state.phase = State::Down;
                state.wave += 1;
            }
            for child in self.children_from(0).into_iter().rev() {
                child.halt().await;
            }
        }
        .boxed()
    }

    fn start(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move {
            let wave = {
                let mut state = self.state.lock();
                if matches!(state.phase, State::Stopping | State::Ended) {
                    return;
                }
                state.phase = State::BackingOff;
                state.wave_from = 0;
                state.wave += 1;
                state.restarts_left.refill();
                state.up_since = Instant::now();
                state.wave
            };
            wave::start_in_order(&self, wave, 0).await;
        }
        .boxed()
    }

    fn stop(self: Arc<Self>, until: Instant, forced: Arc<Mutex<Vec<String>>>) -> BoxFuture<'static, ()> {
        async move {
            self.enter(State::Stopping);
            for child in self.children_from(0).into_iter().rev() {
                child.stop(until, Arc::clone(&forced)).await;
            }
            self.enter(State::Ended);
            // Parent and child hold each other.
            let children = std::mem::take(&mut self.state.lock().children);
            drop(children);
        }
        .boxed()
    }

    fn snapshot(&self) -> TreeNode {
        let (mut node, children) = {
            let mut state = self.state.lock();
            let mut node = TreeNode::new(&self.path, self.name, "supervisor", state.phase);
            let now = Instant::now();
            node.uptime_seconds = now.duration_since(state.up_since).as_secs_f64();
            node.restarts = state.restarts;
            node.last_exit = state.last_exit.clone();
            node.strategy = Some(self.strategy);
            node.intensity = Some(state.restarts_left.intensity());
            node.restart = self.parent.is_some().then_some(Restart::Permanent);
            node.restart_budget_remaining = Some(state.restarts_left.remaining(now));
            (node, state.children.clone())
        };
        node.children = children.iter().map(|child| child.snapshot()).collect();
        node
    }

    fn exits(&self, filter: &ExitFilter, found: &mut Vec<Arc<KeptExit>>) {
        let children = {
            let state = self.state.lock();
            state.exits.find(filter, found);
            state.children.clone()
        };
        children.iter().for_each(|child| child.exits(filter, found));
    }

    fn crash(&self, path: &str) -> bool {
        let children = self.state.lock().children.clone();
        children.iter().any(|child| child.crash(path))
    }

    fn release(&self, path: &str, id: &str) -> bool {
        let children = self.state.lock().children.clone();
        children.iter().any(|child| child.release(path, id))
    }

    fn inspect(&self, now: Instant) {
        let children = {
            let mut state = self.state.lock();
            self.budget.set(f64::from(state.restarts_left.remaining(now)));
            state.children.clone()
        };
        children.iter().for_each(|child| child.inspect(now));
    }
}
