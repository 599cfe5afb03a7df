//! The table behind its lock, and what happens around it: admission, wake-ups, answers to those who wait in vain.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use actix::Addr;
use metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::actor::{Nudge, RouterActor};
use super::table::{Batch, Envelope, Late, Seat, Table, Turn};
use super::{Entity, Origin, Overdue, RouterSpec};
use crate::exits::{ExitFilter, Exits, KeptExit, OF_ENTITIES};
use crate::faults::{Faults, Happens};
use crate::lever::{Command, Lever};
use crate::metrics::{self as names, ChildMetrics, MailboxMetrics};
use crate::reply::with_cause;
use crate::tree::{Fallen, TreeNode};
use crate::watchdog::Pulse;
use crate::{AskError, Exit};

pub(super) struct Shared<E: Entity> {
    pub(super) spec: RouterSpec,
    pub(super) env: E::Env,
    pub(super) pulse: Pulse,
    pub(super) service: &'static str,
    pub(super) faults: Faults,
    table: Mutex<Table<E>>,
    in_flight: AtomicUsize,
    /// Reaches the actor that gives entities their guardians.
    actor: Addr<RouterActor<E>>,
    /// Something that a halt or a stop waits for may have come true.
    changed: Notify,
    restarts: AtomicU64,
    passivations: AtomicU64,
    given_up: AtomicU64,
    pub(super) mailbox: MailboxMetrics,
    child: ChildMetrics,
    live: Gauge,
    passivations_total: Counter,
    quarantined: Gauge,
    path: Arc<str>,
    exits: Mutex<Exits>,
}

impl<E: Entity> Shared<E> {
    pub(super) fn new(
        service: &'static str,
        env: E::Env,
        spec: RouterSpec,
        actor: Addr<RouterActor<E>>,
        path: Arc<str>,
        pulse: Pulse,
        faults: Faults,
    ) -> Arc<Shared<E>> {
        let spec = spec.sound();
        names::can_escalate(service, E::KIND);
        drop(counter!(names::QUARANTINE_FORGIVEN_TOTAL, "service" => service, "kind" => E::KIND));
        Arc::new(Shared {
            table: Mutex::new(Table::new(spec.clone())),
            spec,
            env,
            pulse,
            service,
            faults,
            in_flight: AtomicUsize::new(0),
            actor,
            changed: Notify::new(),
            restarts: AtomicU64::new(0),
            passivations: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            mailbox: MailboxMetrics::new(service, E::KIND),
            child: ChildMetrics::new(service, E::KIND),
            live: gauge!(names::LIVE, "service" => service, "kind" => E::KIND),
            passivations_total: counter!(names::PASSIVATIONS_TOTAL, "service" => service, "actor" => E::KIND),
            quarantined: gauge!(names::QUARANTINED, "service" => service, "kind" => E::KIND),
            path,
            exits: Mutex::new(Exits::at_most(OF_ENTITIES)),
        })
    }

    /// Takes one place of the router's; it is given back when the result is dropped without [`Entered::keep`].
    pub(super) fn enter(&self) -> Result<Entered<'_, E>, AskError> {
        if self.in_flight.fetch_add(1, Ordering::AcqRel) >= self.spec.in_flight {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
            self.mailbox.rejected(&AskError::Overloaded);
            return Err(AskError::Overloaded);
        }
        Ok(Entered { shared: self })
    }

    pub(super) fn leave(&self, count: usize) {
        self.in_flight.fetch_sub(count, Ordering::AcqRel);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(super) fn live(&self) -> usize {
        self.table.lock().live()
    }

    /// What happens to the handler of this entity.
    pub(super) fn fault_at(&self, seat: Seat) -> Option<Happens> {
        let id = self.table.lock().id(seat)?;
        self.faults.at_handler(E::KIND, Some(&id))
    }

    pub(super) fn crash(&self, id: &E::Id) -> bool {
        self.table.lock().crash(id)
    }

    /// Puts an admitted message into its entity's inbox.
    pub(super) fn push(
        &self,
        id: E::Id,
        origin: Origin,
        deadline: Option<Instant>,
        now: Instant,
        message: E::Message,
    ) -> Result<(), AskError> {
        let envelope = Envelope { message, queued_at: now, deadline };
        let accepted = self.table.lock().accept(id, origin, envelope);
        match accepted {
            Ok(wake) => {
                if let Some(waker) = wake.waker {
                    waker.wake();
                }
                if wake.nudge {
                    self.actor.do_send(Nudge);
                }
                Ok(())
            }
            Err((error, refused)) => {
                drop(refused);
                self.mailbox.rejected(&error);
                Err(error)
            }
        }
    }

    pub(super) fn births(&self) -> Vec<(Seat, Arc<Lever>)> {
        self.table.lock().births()
    }

    pub(super) fn poll_turn(
        &self,
        seat: Seat,
        loaded: bool,
        now: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Turn<E>> {
        let now = now.unwrap_or_else(Instant::now);
        let turn = self.table.lock().turn(seat, loaded, now, cx.waker());
        match turn {
            Some(Turn::Batch(batch)) => {
                self.mailbox.wait.record(now.duration_since(batch.oldest).as_secs_f64());
                Poll::Ready(Turn::Batch(self.without_expired(batch)))
            }
            Some(turn) => Poll::Ready(turn),
            None => Poll::Pending,
        }
    }

    /// Answers those who have stopped waiting; their messages are not worked on.
    fn without_expired(&self, mut batch: Batch<E::Message>) -> Batch<E::Message> {
        let expired = std::mem::take(&mut batch.expired);
        if !expired.is_empty() {
            self.mailbox.lost(expired.len(), "timed_out");
            self.leave(expired.len());
            with_cause(AskError::TimedOut, || drop(expired));
        }
        batch
    }

    pub(super) fn wants_to_leave(&self, seat: Seat) {
        self.table.lock().wants_to_leave(seat);
    }

    /// See [`Table::may_leave`].
    pub(super) fn may_leave(&self, seat: Seat) -> bool {
        let left = self.table.lock().may_leave(seat);
        if left {
            self.passivations.fetch_add(1, Ordering::Relaxed);
            self.passivations_total.increment(1);
            self.changed.notify_waiters();
        }
        left
    }

    /// A fallen entity has been loaded again.
    pub(super) fn recovered(&self, id: &E::Id, fell_at: Instant, state: String) {
        self.child.recovery.record(fell_at.elapsed().as_secs_f64());
        self.table.lock().recovered(id, state);
    }

    /// An entity could not be loaded.
    pub(super) fn not_loaded(&self, seat: Seat, reason: &str) {
        let waiting = self.table.lock().remove(seat);
        self.answer(waiting, AskError::Unavailable(reason.to_owned()));
    }

    pub(super) fn fell(&self, seat: Seat, exit: &Exit, now: Instant) {
        let Some(fall) = self.table.lock().fell(seat, exit, now) else { return };
        let mut exits = self.exits.lock();
        exits.keep(&self.path, Some(fall.id.to_string()), exit, fall.kinds.text(), fall.uptime);
    }

    pub(super) fn restarts_after(&self, pause: Duration, exit: &Exit) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.child.restarted(exit.label());
        self.child.backoff.set(pause.as_secs_f64());
    }

    /// An entity is over while it still had its seat: it fell too often, or was ended by force.
    pub(super) fn ended(&self, seat: Seat, exit: &Exit) {
        if !exit.is_failure() {
            let waiting = self.table.lock().remove(seat);
            return self.answer(waiting, AskError::Stopping);
        }
        let (rested, quarantined) = {
            let mut table = self.table.lock();
            (table.lay_to_rest(seat, exit, Instant::now()), table.quarantine.len())
        };
        let Some(rested) = rested else { return self.answer(None, AskError::Stopping) };
        self.given_up.fetch_add(1, Ordering::Relaxed);
        self.quarantined.set(quarantined as f64);
        names::escalated(self.service, E::KIND);
        if rested.forgiven {
            counter!(names::QUARANTINE_FORGIVEN_TOTAL, "service" => self.service, "kind" => E::KIND)
                .increment(1);
        }
        let cause = AskError::Quarantined { kind: E::KIND, id: rested.id.to_string() };
        self.answer(Some(rested.waiting), cause);
    }

    pub(super) fn quarantined(&self) -> usize {
        self.table.lock().quarantine.len()
    }

    /// Lets an entity out of quarantine: the next message makes it anew, with a full budget.
    pub(super) fn release_entity(&self, id: &str) -> bool {
        let (released, left) = {
            let mut table = self.table.lock();
            (table.quarantine.release(id), table.quarantine.len())
        };
        if released {
            self.quarantined.set(left as f64);
            tracing::info!(service = self.service, actor = E::KIND, id, "entity released from quarantine");
        }
        released
    }

    pub(super) fn exits(&self, filter: &ExitFilter, found: &mut Vec<Arc<KeptExit>>) {
        self.exits.lock().find(filter, found);
    }

    fn answer(&self, waiting: Option<VecDeque<Envelope<E::Message>>>, cause: AskError) {
        if let Some(waiting) = waiting {
            self.mailbox.lost(waiting.len(), cause.label());
            self.leave(waiting.len());
            with_cause(cause, || drop(waiting));
        }
        self.changed.notify_waiters();
    }

    /// What has to be done from time to time.
    pub(super) fn tick(&self) {
        let now = Instant::now();
        let (idle, stuck, late, live) = {
            let mut table = self.table.lock();
            (table.sweep(now), table.stuck(now), table.late(now), table.live())
        };
        idle.into_iter().for_each(Waker::wake);
        for since in stuck {
            self.pulse.waits_in_vain(now.duration_since(since));
        }
        for (late, lever) in late {
            self.overdue(&late, &lever, now);
        }
        self.live.set(live as f64);
        self.mailbox.depth.set(self.in_flight() as f64);
    }

    fn overdue(&self, late: &Late, lever: &Lever, now: Instant) {
        let (service, actor, message) = (self.service, E::KIND, late.kinds.label());
        let (after, then) = (late.deadline.after, late.deadline.then);
        names::deadline_exceeded(service, actor, message, then.label());
        let seconds = now.duration_since(late.since).as_secs_f64();
        tracing::error!(service, actor, message, seconds, action = then.label(), "handler is late");
        if then == Overdue::Restart {
            lever.leave(Exit::Overdue(format!("{message} took more than {after:?}")));
            lever.send(Command::Abandon);
        }
    }

    /// Accepts nothing more.
    pub(super) fn close(&self) {
        let wakers = self.table.lock().close();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_held(&self) -> bool {
        self.table.lock().held
    }

    /// Waits until nobody is alive and nothing is in flight.
    pub(super) async fn emptied(&self) {
        self.until(Table::is_empty).await;
    }

    async fn until(&self, mut reached: impl FnMut(&Table<E>) -> bool) {
        loop {
            let changed = self.changed.notified();
            if reached(&self.table.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Ends everyone now. What waits is answered `Stopping`.
    pub(super) fn kill(&self) {
        self.close();
        let (levers, unborn) = self.table.lock().everyone();
        for lever in levers {
            lever.send(Command::Kill);
        }
        for seat in unborn {
            self.ended(seat, &Exit::Stopped);
        }
    }

    /// Throws everyone's state away; done when all guardians are down. What waits stays.
    pub(super) async fn hold(&self) {
        let levers = self.table.lock().hold();
        for lever in levers {
            lever.send(Command::Halt);
        }
        self.until(|table| table.rising == 0).await;
    }

    pub(super) fn is_down(&self, seat: Seat) {
        self.table.lock().is_down(seat);
        self.changed.notify_waiters();
    }

    pub(super) fn release(&self) {
        let levers = self.table.lock().release();
        for lever in levers {
            lever.send(Command::Start);
        }
        self.actor.do_send(Nudge);
    }

    /// Adds what is particular to a router.
    pub(super) fn describe(&self, node: &mut TreeNode) {
        let now = Instant::now();
        let (live, fallen, quarantined, slow) = {
            let mut table = self.table.lock();
            let fallen = table.fallen.iter().map(|fallen| Fallen {
                id: fallen.id.to_string(),
                restarts: fallen.restarts,
                last_exit: fallen.exit.clone(),
                seconds_ago: now.duration_since(fallen.at).as_secs_f64(),
                state: fallen.state.clone(),
            });
            (table.live(), fallen.collect(), table.quarantine.list(now), table.slow(now))
        };
        node.restarts += self.restarts.load(Ordering::Relaxed);
        node.live = Some(live);
        node.fallen = fallen;
        node.quarantined = quarantined;
        node.slow = slow;
        node.intensity = Some(self.spec.intensity);
        node.passivations = Some(self.passivations.load(Ordering::Relaxed));
        node.given_up = Some(self.given_up.load(Ordering::Relaxed));
        node.mailbox_depth = Some(self.in_flight());
        node.mailbox_capacity = Some(self.spec.in_flight);
    }
}

/// One message's place in a router.
pub(super) struct Entered<'a, E: Entity> {
    shared: &'a Shared<E>,
}

impl<E: Entity> Entered<'_, E> {
    /// The message is in; whoever takes it out gives the place back.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl<E: Entity> Drop for Entered<'_, E> {
    fn drop(&mut self) {
        self.shared.leave(1);
    }
}
