//! Faults on demand, for demonstrations and tests: what is to go wrong, with whom, how often, for how long.
//!
//! A tree has one [`Faults`]. It does nothing until [`Faults::allow`] is called on it, and while it holds no fault a
//! handler pays one relaxed load for it. Panics, slow and stuck handlers are brought about here; what concerns the world
//! around the actors (a provider, a database) is only kept here, and asked for by whoever stands at that edge.
//!
//! Every fault ends: when it has happened `times` times, when it expires, or when it is taken back. A handler that is
//! stuck goes on when its fault ends.

mod active;
mod fault;

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

pub use fault::{ActiveFault, BadFault, Fault, FaultKind};

use self::active::Active;
use crate::metrics::fault_injected;

/// Faults in force at once at most.
const MOST: usize = 64;

/// What is to go wrong in one tree. A handle: clones speak of the same faults, from any thread.
#[derive(Clone)]
pub struct Faults {
    inner: Arc<Inner>,
}

struct Inner {
    service: &'static str,
    allowed: AtomicBool,
    /// There is at least one.
    armed: AtomicBool,
    next: AtomicU64,
    /// Kinds that somebody at the edge asks for.
    offered: Mutex<Vec<FaultKind>>,
    active: Mutex<Vec<Arc<Active>>>,
}

/// What happens to a handler before it begins.
pub(crate) enum Happens {
    /// It panics.
    Panic,
    /// It begins when this is over.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl Happens {
    pub(crate) async fn happen(self) {
        match self {
            Happens::Panic => panic!("crash injected by a fault"),
            Happens::Wait(over) => over.await,
        }
    }
}

impl Faults {
    pub(crate) fn new(service: &'static str) -> Faults {
        Faults {
            inner: Arc::new(Inner {
                service,
                allowed: AtomicBool::new(false),
                armed: AtomicBool::new(false),
                next: AtomicU64::new(1),
                offered: Mutex::new(Vec::new()),
                active: Mutex::new(Vec::new()),
            }),
        }
    }

    /// From now on faults may be set here.
    pub fn allow(&self) {
        self.inner.allowed.store(true, Ordering::Relaxed);
    }

    /// Whether faults may be set here.
    pub fn are_allowed(&self) -> bool {
        self.inner.allowed.load(Ordering::Relaxed)
    }

    /// Somebody at the edge will ask whether faults of this kind happen.
    pub fn offer(&self, kind: FaultKind) {
        self.inner.offered.lock().push(kind);
    }

    /// Whether a fault of this kind can happen here.
    pub fn offers(&self, kind: FaultKind) -> bool {
        kind.is_of_handlers() || self.inner.offered.lock().contains(&kind)
    }

    /// Sets one, in place of one with the same id. It is given an id when it has none.
    ///
    /// # Errors
    /// [`BadFault`]: it cannot be meant, there are too many, or none may be set here.
    pub fn set(&self, fault: Fault) -> Result<ActiveFault, BadFault> {
        self.check(&fault)?;
        let fault = self.named(fault);
        let mut active = self.inner.active.lock();
        self.forget_what_is_over(&mut active);
        let known = active.iter().position(|other| other.fault.id == fault.id);
        if known.is_none() && active.len() >= MOST {
            return Err(BadFault::TooMany);
        }
        let fresh = Arc::new(Active::new(fault, Instant::now()));
        let shown = fresh.show(Instant::now());
        match known {
            Some(at) => std::mem::replace(&mut active[at], fresh).end(),
            None => active.push(fresh),
        }
        self.inner.armed.store(true, Ordering::Relaxed);
        tracing::warn!(service = self.inner.service, fault = ?shown.fault, "fault set");
        Ok(shown)
    }

    /// Makes these all the faults there are. One that is there already, word for word, goes on as it is.
    ///
    /// # Errors
    /// As [`Faults::set`]; then nothing is changed.
    pub fn replace(&self, faults: Vec<Fault>) -> Result<(), BadFault> {
        if faults.len() > MOST {
            return Err(BadFault::TooMany);
        }
        faults.iter().try_for_each(|fault| self.check(fault))?;
        let now = Instant::now();
        let mut active = self.inner.active.lock();
        let mut old = std::mem::take(&mut *active);
        for fault in faults {
            let same = old.iter().position(|old| fault.is_like(&old.fault));
            active.push(match same {
                Some(at) => old.swap_remove(at),
                None => Arc::new(Active::new(self.named(fault), now)),
            });
        }
        old.iter().for_each(|gone| gone.end());
        self.inner.armed.store(!active.is_empty(), Ordering::Relaxed);
        tracing::warn!(service = self.inner.service, faults = active.len(), "faults replaced");
        Ok(())
    }

    /// Takes one back. `false` when there is none of this id.
    pub fn clear(&self, id: &str) -> bool {
        self.take_back(|fault| fault.id.as_deref() == Some(id)) > 0
    }

    /// Takes all back; says how many.
    pub fn clear_all(&self) -> usize {
        self.take_back(|_| true)
    }

    /// Those in force.
    pub fn list(&self) -> Vec<ActiveFault> {
        let now = Instant::now();
        let mut active = self.inner.active.lock();
        self.forget_what_is_over(&mut active);
        active.iter().map(|active| active.show(now)).collect()
    }

    /// For those at the edge of the tree: a fault of this kind that is to happen now, once. One relaxed load while there
    /// is none.
    pub fn happens(&self, kind: FaultKind) -> Option<Fault> {
        if !self.are_armed() {
            return None;
        }
        self.due(|fault| fault.kind == kind, |active| active.fault.clone())
    }

    pub(crate) fn are_armed(&self) -> bool {
        self.inner.armed.load(Ordering::Relaxed)
    }

    /// What happens to a handler of `actor` (of the entity `entity`) that is about to begin.
    pub(crate) fn at_handler(&self, actor: &str, entity: Option<&dyn Display>) -> Option<Happens> {
        let mut text = None;
        let wanted = |fault: &Fault| {
            fault.kind.is_of_handlers()
                && fault.actor.as_deref().is_none_or(|wanted| wanted == actor)
                && fault.entity.as_ref().is_none_or(|wanted| {
                    entity.is_some_and(|id| *text.get_or_insert_with(|| id.to_string()) == *wanted)
                })
        };
        self.due(wanted, |active| match active.fault.kind {
            FaultKind::Slow => Happens::Wait(Box::pin(tokio::time::sleep(active.fault.delay()))),
            FaultKind::Stuck => Happens::Wait(Box::pin(active.over())),
            _ => Happens::Panic,
        })
    }

    /// What becomes of the first that is wanted and due. It counts.
    fn due<T>(
        &self,
        mut wanted: impl FnMut(&Fault) -> bool,
        becomes: impl FnOnce(&Active) -> T,
    ) -> Option<T> {
        let now = Instant::now();
        let mut active = self.inner.active.lock();
        let due = active
            .iter()
            .find(|active| !active.is_over(now) && wanted(&active.fault) && active.is_its_turn())?;
        fault_injected(self.inner.service, due.fault.kind.label());
        let becomes = becomes(due);
        self.forget_what_is_over(&mut active);
        Some(becomes)
    }

    fn forget_what_is_over(&self, active: &mut Vec<Arc<Active>>) {
        let now = Instant::now();
        active.retain(|active| {
            let over = active.is_over(now) && !active.holds_somebody(now);
            if over {
                active.end();
            }
            !over
        });
        self.inner.armed.store(!active.is_empty(), Ordering::Relaxed);
    }

    fn take_back(&self, mut wanted: impl FnMut(&Fault) -> bool) -> usize {
        let mut active = self.inner.active.lock();
        let before = active.len();
        active.retain(|active| {
            let gone = wanted(&active.fault);
            if gone {
                active.end();
            }
            !gone
        });
        self.inner.armed.store(!active.is_empty(), Ordering::Relaxed);
        before - active.len()
    }

    fn check(&self, fault: &Fault) -> Result<(), BadFault> {
        if !self.are_allowed() {
            return Err(BadFault::NotAllowed);
        }
        fault.check()
    }

    fn named(&self, mut fault: Fault) -> Fault {
        fault.id.get_or_insert_with(|| format!("fault-{}", self.inner.next.fetch_add(1, Ordering::Relaxed)));
        fault
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults")
            .field("service", &self.inner.service)
            .field("armed", &self.are_armed())
            .finish()
    }
}
