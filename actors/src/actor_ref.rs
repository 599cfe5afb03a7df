//! The bounded handle of a supervised actix actor.
//!
//! An actix mailbox's capacity is no bound: `do_send` ignores it, and every clone of an `Addr` brings a free slot. Here
//! a message needs a permit to enter. The permit travels in the message's [`Reply`] and comes back when that is sent
//! or dropped, however the message ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, Supervised};
use actix_rt::ArbiterHandle;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use crate::Exit;
use crate::lever::Command;
use crate::metrics::MailboxMetrics;
use crate::reply::{Answer, AskError, Hold, Reply, after, with_cause};
use crate::tree::{Child, State};

/// Who may enter a mailbox.
pub(crate) struct Admission {
    permits: Arc<Semaphore>,
    capacity: usize,
    accepting: AtomicBool,
    /// Messages answered or dropped so far, and what the watchdog saw of it.
    finished: AtomicU64,
    seen: Mutex<Seen>,
    /// The type of the latest message that was lost in a panic.
    lost: Mutex<Option<&'static str>>,
    metrics: MailboxMetrics,
}

struct Seen {
    finished: u64,
    since: Instant,
    reported: bool,
}

/// An actor that holds messages and finishes none for this long counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

impl Admission {
    pub(crate) fn new(service: &'static str, actor: &'static str, capacity: usize) -> Arc<Admission> {
        // More would not fit the permit counts of the semaphore.
        let capacity = capacity.clamp(1, 1 << 20);
        Arc::new(Admission {
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            accepting: AtomicBool::new(true),
            finished: AtomicU64::new(0),
            seen: Mutex::new(Seen { finished: 0, since: Instant::now(), reported: false }),
            lost: Mutex::new(None),
            metrics: MailboxMetrics::new(service, actor),
        })
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn depth(&self) -> usize {
        self.capacity.saturating_sub(self.permits.available_permits())
    }

    /// The name of the type of the message that a panic has just dropped.
    pub(crate) fn take_lost(&self) -> Option<&'static str> {
        self.lost.lock().take()
    }

    pub(crate) fn enter(self: &Arc<Self>, message: &'static str) -> Result<Place, AskError> {
        let admitted = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) if self.accepting.load(Ordering::Acquire) => Ok(permit),
            Ok(_) | Err(TryAcquireError::Closed) => Err(AskError::Stopping),
            Err(TryAcquireError::NoPermits) if self.accepting.load(Ordering::Acquire) => {
                Err(AskError::Overloaded)
            }
            Err(TryAcquireError::NoPermits) => Err(AskError::Stopping),
        };
        match admitted {
            Ok(permit) => {
                self.metrics.depth.increment(1.0);
                Ok(Place { _permit: permit, admission: Arc::clone(self), message })
            }
            Err(error) => {
                self.metrics.rejected(&error);
                Err(error)
            }
        }
    }

    /// For how long no message has been finished although there are some; said once per such time.
    pub(crate) fn stuck(&self, now: Instant) -> Option<Duration> {
        let finished = self.finished.load(Ordering::Relaxed);
        let mut seen = self.seen.lock();
        if finished != seen.finished || self.depth() == 0 {
            *seen = Seen { finished, since: now, reported: false };
            return None;
        }
        let since = now.duration_since(seen.since);
        (since >= STUCK_AFTER && !std::mem::replace(&mut seen.reported, true)).then_some(since)
    }

    /// For how long no message has been finished although there are some, to within a second. Unlike
    /// [`stuck`](Self::stuck) it notes nothing.
    pub(crate) fn without_progress(&self, now: Instant) -> Option<Duration> {
        let seen = self.seen.lock();
        let none_finished = self.finished.load(Ordering::Relaxed) == seen.finished;
        (none_finished && self.depth() > 0).then(|| now.duration_since(seen.since))
    }

    /// Accepts nothing more; done when all that was accepted has been answered or dropped.
    pub(crate) async fn drain(&self) {
        self.accepting.store(false, Ordering::Release);
        let all = self.permits.acquire_many(self.capacity as u32).await;
        self.close();
        drop(all);
    }

    pub(crate) fn close(&self) {
        self.accepting.store(false, Ordering::Release);
        self.permits.close();
    }
}

/// One message's place in a mailbox.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    admission: Arc<Admission>,
    /// The type of the message.
    message: &'static str,
}

impl Hold for Place {
    fn lost(&self, cause: &AskError) {
        if *cause == AskError::Panicked {
            *self.admission.lost.lock() = Some(self.message);
        }
        self.admission.metrics.lost(1, cause.label());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.finished.fetch_add(1, Ordering::Relaxed);
        self.admission.metrics.depth.decrement(1.0);
    }
}

/// A handle of a supervised actor. It stays valid over restarts; clones speak to the same actor.
pub struct ActorRef<A: Actor> {
    addr: Addr<A>,
    pub(crate) child: Arc<Child>,
    admission: Arc<Admission>,
    pub(crate) arbiter: ArbiterHandle,
}

impl<A: Actor> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        ActorRef {
            addr: self.addr.clone(),
            child: Arc::clone(&self.child),
            admission: Arc::clone(&self.admission),
            arbiter: self.arbiter.clone(),
        }
    }
}

impl<A> ActorRef<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    pub(crate) fn new(
        addr: Addr<A>,
        child: Arc<Child>,
        admission: Arc<Admission>,
        arbiter: ArbiterHandle,
    ) -> ActorRef<A> {
        ActorRef { addr, child, admission, arbiter }
    }

    /// Sends the message that `make` builds around a [`Reply`], and waits for the answer until `deadline` from now.
    ///
    /// # Errors
    /// See [`AskError`]. After `TimedOut` and `Panicked` it is not known whether the message took effect.
    pub async fn ask<M, R>(&self, deadline: Duration, make: impl FnOnce(Reply<R>) -> M) -> Result<R, AskError>
    where
        A: Handler<M>,
        M: Message<Result = ()> + Send + 'static,
        R: Send + 'static,
    {
        let until = after(Instant::now(), deadline);
        self.send_for_answer(make)?.until(until).await
    }

    /// Sends a message whose answer nobody waits for. It takes a place in the mailbox like any other.
    ///
    /// # Errors
    /// [`AskError::Overloaded`] or [`AskError::Stopping`]; the message was not built.
    pub fn tell<M, R>(&self, make: impl FnOnce(Reply<R>) -> M) -> Result<(), AskError>
    where
        A: Handler<M>,
        M: Message<Result = ()> + Send + 'static,
        R: Send + 'static,
    {
        self.send_for_answer(make).map(|_| ())
    }

    pub(crate) fn send_for_answer<M, R>(
        &self,
        make: impl FnOnce(Reply<R>) -> M,
    ) -> Result<Answer<R>, AskError>
    where
        A: Handler<M>,
        M: Message<Result = ()> + Send + 'static,
        R: Send + 'static,
    {
        let (reply, answer) = Reply::holding(Box::new(self.admission.enter(std::any::type_name::<M>())?));
        let message = make(reply);
        // A mailbox that closed in the meantime drops the message on the spot.
        with_cause(AskError::Stopping, || self.addr.do_send(message));
        Ok(answer)
    }
}

impl<A: Actor> ActorRef<A> {
    /// `service/…/name`.
    pub fn path(&self) -> &str {
        &self.child.path
    }

    pub(crate) fn service(&self) -> &'static str {
        self.admission.metrics.service
    }

    pub(crate) fn name(&self) -> &'static str {
        self.child.name
    }

    /// What the actor is at.
    pub fn state(&self) -> State {
        *self.child.state.borrow()
    }

    /// How often it has been restarted.
    pub fn restarts(&self) -> u64 {
        self.child.restarts()
    }

    /// Why its last incarnation ended.
    pub fn last_exit(&self) -> Option<Exit> {
        self.child.last_exit()
    }

    /// Messages accepted and not yet answered.
    pub fn depth(&self) -> usize {
        self.admission.depth()
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

impl<A: Actor> std::fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActorRef").field("path", &self.child.path).field("state", &self.state()).finish()
    }
}
