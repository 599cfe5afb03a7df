//! What a router knows, under its one lock: who is alive, what waits for whom, who goes next.
//!
//! Every method is short and runs no code of the entity (beyond `Clone`, `Eq` and `Hash` of its id). What has to be
//! woken or dropped is handed out, and dealt with when the lock is free again.
//!
//! The lock is what makes the hand-over safe: an entity leaves by asking, under the lock and with its state already
//! dropped, whether anything waits for it. If so, it goes on as its own next incarnation; if not, its key is gone, and
//! the next message makes a new one. There is no moment at which a message could be lost between two incarnations, nor
//! one at which there are two.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use tokio::time::{Duration, Instant};

use super::kinds::Kinds;
use super::quarantine::Quarantine;
use super::slab::{Index, Queue, Slab};
use super::{Deadline, Entity, Origin, RouterSpec};
use crate::lever::{Command, Lever};
use crate::tree::SlowEntity;
use crate::watchdog::SLOW;
use crate::{AskError, Exit};

/// How many fallen entities are remembered for the operations page.
const FALLEN: usize = 64;
/// How many slow ones are shown there.
const SHOWN: usize = 64;

pub(super) struct Envelope<M> {
    pub(super) message: M,
    pub(super) queued_at: Instant,
    /// Nobody waits for the answer after this.
    pub(super) deadline: Option<Instant>,
}

/// An entity's place in the table. The number may be used again by another one, the key never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    index: Index,
    key: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing waits; a message wakes it.
    Idle,
    /// It has been woken, or works; it will look at its inbox by itself.
    Busy,
    /// It has been told to go, and will ask whether it may.
    Leaving,
}

struct Slot<E: Entity> {
    key: u64,
    id: E::Id,
    inbox: VecDeque<Envelope<E::Message>>,
    phase: Phase,
    waker: Option<Waker>,
    /// Since when it is idle or has been at its present batch.
    since: Instant,
    /// When its present state was asked for from the store.
    born: Instant,
    /// What its present batch is made of; nothing while it is loaded.
    kinds: Kinds,
    /// Its present batch has been found late, or stuck.
    late: bool,
    stuck: bool,
    origin: Origin,
    fell_at: Option<Instant>,
    lever: Arc<Lever>,
    /// Its guardian runs.
    spawned: bool,
    /// Its guardian keeps it down.
    down: bool,
}

/// What an entity does next.
pub(super) enum Turn<E: Entity> {
    /// Load the state: something waits.
    Load { id: E::Id, origin: Origin, fell_at: Option<Instant> },
    /// Handle these.
    Batch(Batch<E::Message>),
    /// Drop the state and ask whether it may go.
    Leave,
    /// It has no seat any more.
    Gone,
}

pub(super) struct Batch<M> {
    pub(super) messages: Vec<M>,
    /// Those whose askers have stopped waiting.
    pub(super) expired: Vec<M>,
    /// When the oldest was sent.
    pub(super) oldest: Instant,
    pub(super) kinds: Kinds,
}

/// What fell.
pub(super) struct Fall<I> {
    pub(super) id: I,
    pub(super) kinds: Kinds,
    pub(super) uptime: Duration,
}

/// An entity whose handler is late.
pub(super) struct Late {
    pub(super) kinds: Kinds,
    pub(super) deadline: Deadline,
    pub(super) since: Instant,
}

/// An entity that has been quarantined.
pub(super) struct LaidToRest<E: Entity> {
    pub(super) id: E::Id,
    pub(super) waiting: VecDeque<Envelope<E::Message>>,
    /// Another one was forgiven for it.
    pub(super) forgiven: bool,
}

/// What to do when the lock is free.
#[derive(Default)]
pub(super) struct Wake {
    pub(super) waker: Option<Waker>,
    /// Entities wait for their guardians.
    pub(super) nudge: bool,
}

pub(super) struct FallenEntity<I> {
    pub(super) id: I,
    pub(super) restarts: u32,
    pub(super) exit: Exit,
    pub(super) at: Instant,
    pub(super) state: String,
}

pub(super) struct Table<E: Entity> {
    spec: RouterSpec,
    keys: HashMap<E::Id, Index>,
    slots: Slab<Slot<E>>,
    next_key: u64,
    leaving: usize,
    unborn: Vec<Seat>,
    pub(super) quarantine: Quarantine<E::Id>,
    pub(super) fallen: VecDeque<FallenEntity<E::Id>>,
    /// Nothing is accepted any more.
    pub(super) closed: bool,
    /// The supervisor keeps the router down.
    pub(super) held: bool,
    /// Guardians that have been told to halt and are not down yet.
    pub(super) rising: usize,
}

impl<E: Entity> Table<E> {
    pub(super) fn new(spec: RouterSpec) -> Table<E> {
        Table {
            keys: HashMap::new(),
            slots: Slab::new(),
            next_key: 0,
            leaving: 0,
            unborn: Vec::new(),
            quarantine: Quarantine::at_most(spec.quarantine),
            spec,
            fallen: VecDeque::new(),
            closed: false,
            held: false,
            rising: 0,
        }
    }

    pub(super) fn live(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn slot(&mut self, seat: Seat) -> Option<&mut Slot<E>> {
        self.slots.get_mut(seat.index).filter(|slot| slot.key == seat.key)
    }

    pub(super) fn id(&mut self, seat: Seat) -> Option<E::Id> {
        self.slot(seat).map(|slot| slot.id.clone())
    }

    /// Takes a message in. Refused, it comes back, to be dropped outside the lock.
    pub(super) fn accept(
        &mut self,
        id: E::Id,
        origin: Origin,
        envelope: Envelope<E::Message>,
    ) -> Result<Wake, (AskError, Envelope<E::Message>)> {
        if self.closed {
            return Err((AskError::Stopping, envelope));
        }
        if let Some(&index) = self.keys.get(&id)
            && let Some(slot) = self.slots.get_mut(index)
        {
            if slot.inbox.len() >= self.spec.mailbox {
                return Err((AskError::Overloaded, envelope));
            }
            slot.inbox.push_back(envelope);
            let mut wake = Wake::default();
            if slot.phase == Phase::Idle {
                slot.phase = Phase::Busy;
                wake.waker = slot.waker.take();
                self.slots.unlink(index);
            }
            return Ok(wake);
        }
        if self.quarantine.holds(&id) {
            return Err((AskError::Quarantined { kind: E::KIND, id: id.to_string() }, envelope));
        }
        let mut wake = Wake::default();
        if self.keys.len() - self.leaving >= self.spec.max_live {
            match self.slots.front(Queue::Idle) {
                Some(longest) => wake.waker = self.retire(longest),
                None => return Err((AskError::Overloaded, envelope)),
            }
        }
        wake.nudge = self.unborn.is_empty();
        let seat = self.seat(id, origin, envelope);
        self.unborn.push(seat);
        Ok(wake)
    }

    fn seat(&mut self, id: E::Id, origin: Origin, envelope: Envelope<E::Message>) -> Seat {
        self.next_key += 1;
        let key = self.next_key;
        let since = envelope.queued_at;
        let index = self.slots.insert(Slot {
            key,
            id: id.clone(),
            inbox: VecDeque::from([envelope]),
            phase: Phase::Busy,
            waker: None,
            since,
            born: since,
            kinds: Kinds::default(),
            late: false,
            stuck: false,
            origin,
            fell_at: None,
            lever: Arc::default(),
            spawned: false,
            down: false,
        });
        self.keys.insert(id, index);
        Seat { index, key }
    }

    /// Tells an entity to go. What comes for it from now on waits until it has.
    fn retire(&mut self, index: Index) -> Option<Waker> {
        self.slots.unlink(index);
        let slot = self.slots.get_mut(index)?;
        if slot.phase != Phase::Leaving {
            slot.phase = Phase::Leaving;
            self.leaving += 1;
        }
        slot.waker.take()
    }

    /// Those who wait for a guardian.
    pub(super) fn births(&mut self) -> Vec<(Seat, Arc<Lever>)> {
        if self.held {
            return Vec::new();
        }
        let mut births = Vec::with_capacity(self.unborn.len());
        for seat in std::mem::take(&mut self.unborn) {
            if let Some(slot) = self.slot(seat) {
                slot.spawned = true;
                births.push((seat, Arc::clone(&slot.lever)));
            }
        }
        births
    }

    /// What the entity does next; `None` when nothing waits. `loaded` says that it holds its state.
    pub(super) fn turn(&mut self, seat: Seat, loaded: bool, now: Instant, waker: &Waker) -> Option<Turn<E>> {
        let (batch, closed) = (self.spec.batch, self.closed);
        let Some(slot) = self.slot(seat) else { return Some(Turn::Gone) };
        if slot.phase == Phase::Leaving {
            return Some(Turn::Leave);
        }
        if slot.inbox.is_empty() {
            if closed {
                self.retire(seat.index);
                return Some(Turn::Leave);
            }
            if slot.waker.as_ref().is_none_or(|known| !known.will_wake(waker)) {
                slot.waker = Some(waker.clone());
            }
            slot.phase = Phase::Idle;
            if self.slots.queue(seat.index) != Some(Queue::Idle) {
                if let Some(slot) = self.slot(seat) {
                    slot.since = now;
                }
                self.slots.push(Queue::Idle, seat.index);
            }
            return None;
        }
        slot.phase = Phase::Busy;
        slot.since = now;
        (slot.late, slot.stuck) = (false, false);
        let turn = if loaded {
            let batch = take::<E>(&mut slot.inbox, batch, now);
            slot.kinds = batch.kinds;
            Turn::Batch(batch)
        } else {
            slot.born = now;
            slot.kinds = Kinds::default();
            let origin = std::mem::replace(&mut slot.origin, Origin::Stored);
            Turn::Load { id: slot.id.clone(), origin, fell_at: slot.fell_at.take() }
        };
        self.slots.push(Queue::Busy, seat.index);
        Some(turn)
    }

    /// The entity wants to go of its own accord.
    pub(super) fn wants_to_leave(&mut self, seat: Seat) {
        if self.slot(seat).is_some() {
            self.retire(seat.index);
        }
    }

    /// The entity has dropped its state. `false`: something waits, so it goes on as its next incarnation.
    pub(super) fn may_leave(&mut self, seat: Seat) -> bool {
        let Some(slot) = self.slot(seat) else { return true };
        if slot.inbox.is_empty() {
            self.remove(seat);
            return true;
        }
        slot.phase = Phase::Busy;
        self.leaving -= 1;
        false
    }

    /// Forgets an entity; what waited for it is handed out.
    pub(super) fn remove(&mut self, seat: Seat) -> Option<VecDeque<Envelope<E::Message>>> {
        self.slot(seat)?;
        let slot = self.slots.remove(seat.index)?;
        self.keys.remove(&slot.id);
        if slot.phase == Phase::Leaving {
            self.leaving -= 1;
        }
        if self.held && slot.spawned && !slot.down {
            self.rising = self.rising.saturating_sub(1);
        }
        Some(slot.inbox)
    }

    /// An incarnation fell. It is in no queue until its next one looks at the inbox.
    pub(super) fn fell(&mut self, seat: Seat, exit: &Exit, now: Instant) -> Option<Fall<E::Id>> {
        let slot = self.slot(seat)?;
        slot.fell_at = Some(now);
        let id = slot.id.clone();
        let fall = Fall { id: id.clone(), kinds: slot.kinds, uptime: now.duration_since(slot.born) };
        self.slots.unlink(seat.index);
        let known = self.fallen.iter().position(|fallen| fallen.id == id);
        let restarts = known.and_then(|at| self.fallen.remove(at)).map_or(0, |fallen| fallen.restarts) + 1;
        self.fallen.push_front(FallenEntity {
            id,
            restarts,
            exit: exit.clone(),
            at: now,
            state: String::new(),
        });
        self.fallen.truncate(FALLEN);
        Some(fall)
    }

    /// A fallen entity has been loaded again.
    pub(super) fn recovered(&mut self, id: &E::Id, state: String) {
        if let Some(fallen) = self.fallen.iter_mut().find(|fallen| fallen.id == *id) {
            fallen.state = state;
        }
    }

    /// An entity fell too often: it is stopped until somebody releases it.
    pub(super) fn lay_to_rest(&mut self, seat: Seat, exit: &Exit, now: Instant) -> Option<LaidToRest<E>> {
        let id = self.slot(seat)?.id.clone();
        let falls = self.fallen.iter().find(|fallen| fallen.id == id).map_or(1, |fallen| fallen.restarts);
        let forgiven = self.quarantine.take_in(id.clone(), falls.saturating_sub(1), exit.clone(), now);
        let waiting = self.remove(seat)?;
        Some(LaidToRest { id, waiting, forgiven })
    }

    /// Who has been idle for too long is told to go.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        if self.held {
            return wakers;
        }
        while let Some(first) = self.slots.front(Queue::Idle)
            && let Some(slot) = self.slots.get_mut(first)
            && now.duration_since(slot.since) >= self.spec.idle
        {
            wakers.extend(self.retire(first));
        }
        wakers
    }

    /// Since when those have been at their batch who are found stuck now. Each batch is found once.
    pub(super) fn stuck(&mut self, now: Instant) -> Vec<Instant> {
        let mut stuck = Vec::new();
        let mut next = self.slots.front(Queue::Busy);
        while let Some(index) = next
            && let Some(slot) = self.slots.get_mut(index)
            && now.duration_since(slot.since) >= self.spec.stuck_after
        {
            if !std::mem::replace(&mut slot.stuck, true) {
                stuck.push(slot.since);
            }
            next = self.slots.behind(index);
        }
        stuck
    }

    /// Those who have been at their batch for longer than [`SLOW`], the longest first.
    pub(super) fn slow(&mut self, now: Instant) -> Vec<SlowEntity> {
        let mut slow = Vec::new();
        let mut next = self.slots.front(Queue::Busy);
        while let Some(index) = next
            && let Some(slot) = self.slots.get_mut(index)
            && slow.len() < SHOWN
        {
            let so_far = now.duration_since(slot.since);
            if so_far <= SLOW {
                break;
            }
            let (id, message_kind) = (slot.id.to_string(), slot.kinds.text());
            slow.push(SlowEntity { id, message_kind, seconds: so_far.as_secs_f64() });
            next = self.slots.behind(index);
        }
        slow
    }

    /// Those who are late with their batch, each found once; the levers of those whose handlers are to be given up.
    pub(super) fn late(&mut self, now: Instant) -> Vec<(Late, Arc<Lever>)> {
        let mut late = Vec::new();
        let Some(soonest) = self.spec.deadlines.iter().map(|deadline| deadline.after).min() else {
            return late;
        };
        let mut next = self.slots.front(Queue::Busy);
        while let Some(index) = next {
            next = self.slots.behind(index);
            let Some(slot) = self.slots.get_mut(index) else { break };
            let so_far = now.duration_since(slot.since);
            if so_far < soonest {
                break;
            }
            if slot.late {
                continue;
            }
            if let Some(deadline) =
                self.spec.deadline_of(slot.kinds.names()).filter(|due| so_far >= due.after)
            {
                slot.late = true;
                late.push((Late { kinds: slot.kinds, deadline, since: slot.since }, Arc::clone(&slot.lever)));
            }
        }
        late
    }

    /// Accepts nothing more; who is idle goes now, the others when nothing waits for them.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        let mut wakers = Vec::new();
        while let Some(first) = self.slots.front(Queue::Idle) {
            wakers.extend(self.retire(first));
        }
        wakers
    }

    /// The levers of all guardians, and the seats of those who never got one.
    pub(super) fn everyone(&mut self) -> (Vec<Arc<Lever>>, Vec<Seat>) {
        let mut levers = Vec::new();
        let mut unborn = Vec::new();
        for (index, slot) in self.slots.iter_mut() {
            if slot.spawned {
                levers.push(Arc::clone(&slot.lever));
            } else {
                unborn.push(Seat { index, key: slot.key });
            }
        }
        (levers, unborn)
    }

    /// The supervisor takes the router down: everyone's state is thrown away, what waits stays.
    pub(super) fn hold(&mut self) -> Vec<Arc<Lever>> {
        self.held = true;
        let mut levers = Vec::new();
        for (_, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.spawned && !slot.down) {
            levers.push(Arc::clone(&slot.lever));
        }
        self.rising = levers.len();
        levers
    }

    /// A guardian is down.
    pub(super) fn is_down(&mut self, seat: Seat) {
        let held = self.held;
        let Some(slot) = self.slot(seat) else { return };
        if held && !std::mem::replace(&mut slot.down, true) {
            self.rising = self.rising.saturating_sub(1);
        }
        self.slots.unlink(seat.index);
    }

    /// The supervisor starts the router again.
    pub(super) fn release(&mut self) -> Vec<Arc<Lever>> {
        self.held = false;
        self.rising = 0;
        let mut levers = Vec::new();
        for (_, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.spawned) {
            slot.down = false;
            levers.push(Arc::clone(&slot.lever));
        }
        levers
    }

    /// Makes a living entity panic.
    pub(super) fn crash(&mut self, id: &E::Id) -> bool {
        let Some(&index) = self.keys.get(id) else { return false };
        let Some(slot) = self.slots.get_mut(index) else { return false };
        slot.lever.send(Command::Crash);
        true
    }
}

fn take<E: Entity>(
    inbox: &mut VecDeque<Envelope<E::Message>>,
    most: usize,
    now: Instant,
) -> Batch<E::Message> {
    let mut kinds = Kinds::default();
    let oldest = inbox.front().map_or(now, |envelope| envelope.queued_at);
    let mut messages = Vec::with_capacity(inbox.len().min(most));
    let mut expired = Vec::new();
    while messages.len() < most
        && let Some(envelope) = inbox.pop_front()
    {
        if envelope.deadline.is_some_and(|deadline| deadline <= now) {
            expired.push(envelope.message);
        } else {
            kinds.add(E::kind(&envelope.message));
            messages.push(envelope.message);
        }
    }
    Batch { messages, expired, oldest, kinds }
}
