//! One service: its database, its relay, and two replicas that know nothing of each other.
//!
//! The order of steps is the platform's: take an event in hand, decide on what is in memory, commit with the cause in the
//! same entry, believe, say that the event is done, save the place. Each arrow is a step of its own here, so that a crash
//! or another replica can come between any two.

use std::{collections::VecDeque, fmt::Debug, rc::Rc};

use uuid::Uuid;
use viscount_contracts::{Envelope, Topic};

use crate::{
    defect::Defect,
    intake::{Intake, Slot},
    shared::{PARTITIONS, REPLICAS, Shared},
    store::{Database, Entry, Tables, Verdict, shown},
};

/// How often what fails by itself is tried before it is a dead letter.
const ATTEMPTS: u32 = 2;
/// Events that one replica has in hand of one topic at the most.
const IN_HAND: usize = 6;

/// What is asked of a service by its own watchmen, and by the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An event of another service.
    Event(Slot),
    /// A dead letter that is handled once more, of this group.
    Letter(usize),
    /// A request of a client, by number.
    Client(usize),
    /// A deadline has passed, or a question is due.
    Watchman,
    /// The provider told something, by number of its delivery.
    Webhook(u64),
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<A> {
    /// It has had its effect, now or before.
    Done(Option<A>),
    /// Not now; it may be asked again.
    Away,
    /// Asking again will not help.
    Refused(String),
    /// Its idempotency key has an answer.
    KeyTaken,
}

/// How far a task came by one step.
pub enum Progress<C, A> {
    /// It goes on later; nothing was done.
    Blocked,
    /// It goes on later.
    Onward,
    /// It wants this written.
    Commit(Entry<C>),
    /// It is over.
    Over(Outcome<A>),
}

/// How far a task is.
#[derive(Debug)]
enum State<C> {
    Ready,
    Queued(Entry<C>),
    Written(Verdict),
}

/// One piece of work in a replica.
#[derive(Debug)]
pub struct Task<S: Service> {
    /// Its number.
    pub id: u64,
    /// Who asked.
    pub origin: Origin,
    /// What is asked, and how far that is.
    pub work: S::Work,
    event: Option<Rc<Envelope>>,
    attempts: u32,
    state: State<S::Change>,
}

/// What makes one service different from the others.
pub trait Service: Sized {
    /// What it publishes.
    const TOPIC: Topic;
    /// What it listens to.
    const LISTENS: &'static [Topic];
    /// Its tables.
    type Tables: Tables<Change = Self::Change> + Debug;
    /// What one entry changes there.
    type Change: Debug;
    /// What one replica has in memory.
    type Memory: Default + Debug;
    /// A piece of work.
    type Work: Debug;
    /// What a client is told.
    type Answer: Clone + PartialEq;

    /// What an event means to this service; `None` when nothing.
    fn work(event: &Envelope) -> Result<Option<Self::Work>, String>;
    /// The aggregate whose actor does this work, one piece after the other; `None` when no actor is needed.
    fn entity(work: &Self::Work) -> Option<Uuid>;
    /// One step of a piece of work.
    fn step(
        at: &mut At<'_, Self>,
        id: u64,
        work: &mut Self::Work,
        cause: Option<&Rc<Envelope>>,
    ) -> Step<Self>;
    /// The entry of a piece of work was written, or not.
    fn written(at: &mut At<'_, Self>, work: &mut Self::Work, verdict: Verdict) -> Step<Self>;
    /// The actor of a piece of work fell, and its memory with it.
    fn fell(memory: &mut Self::Memory, id: u64, work: &mut Self::Work);
}

/// What [`Service::step`] gives.
pub type Step<S> = Progress<<S as Service>::Change, <S as Service>::Answer>;

/// Where a step happens.
pub struct At<'a, S: Service> {
    /// The service's database.
    pub db: &'a mut Database<S::Tables>,
    /// The replica's memory.
    pub memory: &'a mut S::Memory,
    /// By how much its clock is wrong.
    pub skew: i64,
    /// The rest of the world.
    pub shared: &'a mut Shared,
}

/// One process.
#[derive(Debug)]
pub struct Replica<S: Service> {
    /// What its actors have in mind.
    pub memory: S::Memory,
    /// Work in hand, oldest first.
    pub tasks: Vec<Task<S>>,
    /// What the group commit has still to write.
    queue: VecDeque<u64>,
    /// By how many milliseconds its clock is wrong.
    pub skew: i64,
    /// By how many it was wrong at the most.
    pub worst: i64,
    /// Its consumers, one for each topic that it listens to.
    pub intakes: Vec<Intake>,
}

/// Which place of a topic is saved, and whose each partition is.
#[derive(Debug, Default, Clone)]
pub struct Group {
    /// Everything before it is done.
    pub saved: [usize; PARTITIONS],
    /// Which replica, for which time.
    pub owner: [(usize, u32); PARTITIONS],
    /// Who handles letters once more.
    pub redriver: Option<usize>,
}

/// See the module.
#[derive(Debug)]
pub struct Node<S: Service> {
    /// Its database.
    pub db: Database<S::Tables>,
    /// Its processes.
    pub replicas: Vec<Replica<S>>,
    /// Its consumer groups.
    pub groups: Vec<Group>,
    /// Published and saved as such; published, as the relay believes.
    relay: (usize, usize),
    /// Taken by the relay and not yet published: only with a defect.
    taken: Option<Rc<Envelope>>,
    tasks: u64,
}

/// A task that is over, for whoever asked.
pub struct Ended<S: Service> {
    /// Where.
    pub replica: usize,
    /// Who asked.
    pub origin: Origin,
    /// What was asked.
    pub work: S::Work,
    /// What came of it.
    pub outcome: Outcome<S::Answer>,
}

fn replica<S: Service>(skew: i64, worst: i64) -> Replica<S> {
    let intakes = S::LISTENS.iter().map(|_| Intake::default()).collect();
    Replica { memory: S::Memory::default(), tasks: Vec::new(), queue: VecDeque::new(), skew, worst, intakes }
}

impl<S: Service> Node<S> {
    /// A service that has just been started for the first time.
    pub fn new() -> Self {
        let mut group = Group::default();
        for (partition, owner) in group.owner.iter_mut().enumerate() {
            *owner = (partition % REPLICAS, 1);
        }
        Self {
            db: Database::new(S::TOPIC),
            replicas: (0..REPLICAS).map(|_| replica(0, 0)).collect(),
            groups: vec![group; S::LISTENS.len()],
            relay: (0, 0),
            taken: None,
            tasks: 0,
        }
    }

    /// The replica dies and is started again: what was in memory is gone. So is a lock that it held, and its partitions
    /// are dealt out anew.
    pub fn crash(&mut self, at: usize, shared: &mut Shared) {
        shared.note(|| format!("{}-{at} is killed", S::TOPIC.service()));
        let Replica { skew, worst, .. } = self.replicas[at];
        self.replicas[at] = replica(skew, worst);
        for group in &mut self.groups {
            for owner in &mut group.owner {
                if owner.0 == at {
                    *owner = ((at + shared.choices.pick(REPLICAS)) % REPLICAS, owner.1 + 1);
                }
            }
            group.redriver = group.redriver.filter(|holder| *holder != at);
        }
        if shared.choices.pick(2) == 1 {
            self.lose_relay(shared);
        }
    }

    /// A partition goes to the other replica. Whose it was learns of that later.
    pub fn rebalance(&mut self, group: usize, partition: usize, shared: &mut Shared) -> bool {
        let owner = &mut self.groups[group].owner[partition];
        *owner = ((owner.0 + 1) % REPLICAS, owner.1 + 1);
        shared.note(|| format!("{} partition {group}.{partition} goes to the other", S::TOPIC.service()));
        true
    }

    /// The relay publishes the next event.
    pub fn publish(&mut self, shared: &mut Shared) -> bool {
        let event = match self.taken.take() {
            Some(event) => event,
            None => {
                let Some(event) = self.db.events.get(self.relay.1).cloned() else { return false };
                self.relay.1 += 1;
                if shared.has(Defect::CursorBeforePublish) {
                    self.relay.0 = self.relay.1;
                    self.taken = Some(event);
                    return true;
                }
                event
            }
        };
        shared.note(|| format!("{} publishes {}", S::TOPIC.service(), shown(&event)));
        shared.logs[crate::shared::index(S::TOPIC)].partitions[crate::shared::partition(event.key)]
            .push(event);
        true
    }

    /// The relay notes how far it is.
    pub fn save_relay(&mut self) -> bool {
        let moved = self.relay.0 < self.relay.1;
        self.relay.0 = self.relay.1;
        moved
    }

    /// Another replica becomes the relay, and begins where the last one had noted to be.
    pub fn lose_relay(&mut self, shared: &mut Shared) -> bool {
        shared.note(|| format!("{} has another relay, from {}", S::TOPIC.service(), self.relay.0));
        self.taken = None;
        self.relay.1 = self.relay.0;
        true
    }

    /// True when every event is on the log and that is noted.
    pub fn is_published(&self) -> bool {
        self.relay == (self.db.events.len(), self.db.events.len()) && self.taken.is_none()
    }

    /// The owner of a partition reads its next event.
    pub fn take_in(&mut self, group: usize, partition: usize, shared: &mut Shared) -> bool {
        let (owner, turn) = self.groups[group].owner[partition];
        let intake = &mut self.replicas[owner].intakes[group];
        let saved = self.groups[group].saved[partition];
        let joins = intake.mine[partition].as_ref().is_none_or(|mine| mine.turn != turn);
        if joins {
            intake.forget(partition);
            intake.mine[partition] =
                Some(crate::intake::Mine { turn, read: saved, open: Default::default() });
            // Another member may have given up events of these keys.
            let held = self.db.letters.keys().filter(|(of, _)| *of == group);
            intake.dead = held.map(|(_, key)| *key).collect();
        }
        let Some(mine) = intake.mine[partition].as_mut() else { return false };
        let log = &shared.logs[crate::shared::index(S::LISTENS[group])].partitions[partition];
        if mine.open.len() >= IN_HAND {
            return joins;
        }
        let Some(event) = log.get(mine.read).cloned() else { return joins };
        let slot = Slot { group, partition, turn, offset: mine.read };
        mine.read += 1;
        if S::work(&event).is_ok_and(|work| work.is_none()) {
            return true;
        }
        if shared.choices.once_in(40) {
            shared.note(|| format!("{} will not be handled by {}", shown(&event), S::TOPIC.service()));
            shared.poisoned.push(event.id);
        }
        let parks = intake.dead.contains(&event.key) && !shared.has(Defect::ParkNothing);
        if parks && !intake.lanes.contains_key(&event.key) {
            shared.note(|| format!("{}-{owner} parks {}", S::TOPIC.service(), shown(&event)));
            self.db.park(group, event);
            return true;
        }
        if !shared.has(Defect::OffsetBeforeCommit) {
            mine.open.insert(slot.offset);
        }
        let lane = intake.lanes.entry(event.key).or_default();
        lane.push_back((slot, event.clone()));
        if lane.len() == 1 {
            self.begin(owner, Origin::Event(slot), event, shared);
        }
        true
    }

    /// The owner of a partition saves its place.
    pub fn save_place(&mut self, group: usize, partition: usize, replica: usize) -> bool {
        let intake = &mut self.replicas[replica].intakes[group];
        let Some(mine) = &intake.mine[partition] else { return false };
        if self.groups[group].owner[partition] != (replica, mine.turn) {
            intake.forget(partition);
            return true;
        }
        let saved = &mut self.groups[group].saved[partition];
        let moved = mine.finished() > *saved;
        *saved = mine.finished().max(*saved);
        moved
    }

    fn begin(&mut self, replica: usize, origin: Origin, event: Rc<Envelope>, shared: &mut Shared) {
        match S::work(&event) {
            Ok(Some(work)) => self.ask(replica, origin, work, Some(event)),
            Ok(None) => {}
            Err(problem) => shared.violate(format!("{} cannot be read: {problem}", shown(&event))),
        }
    }

    /// Gives a replica work.
    pub fn ask(&mut self, replica: usize, origin: Origin, work: S::Work, event: Option<Rc<Envelope>>) {
        self.tasks += 1;
        let task = Task { id: self.tasks, origin, work, event, attempts: 0, state: State::Ready };
        self.replicas[replica].tasks.push(task);
    }

    /// The group commit of a replica writes what has queued up, or the oldest of it.
    pub fn write(&mut self, at: usize, shared: &mut Shared) -> bool {
        let replica = &mut self.replicas[at];
        if replica.queue.is_empty() {
            return false;
        }
        let many = replica.queue.len() - shared.choices.pick(replica.queue.len());
        // The connection may break before the commit or behind it. Then nobody is told what became of it.
        let broken = shared.choices.pick(16);
        for id in replica.queue.drain(..many) {
            let Some(task) = replica.tasks.iter_mut().find(|task| task.id == id) else { continue };
            let State::Queued(entry) = &task.state else { continue };
            let verdict = match broken {
                14 => Verdict::Unavailable,
                15 => {
                    self.db.write(entry, shared);
                    Verdict::Unavailable
                }
                // The very same entry is written again after a broken connection.
                13 => {
                    self.db.write(entry, shared);
                    self.db.write(entry, shared)
                }
                _ => self.db.write(entry, shared),
            };
            shared.note(|| format!("{}-{at} #{id} {verdict:?}", S::TOPIC.service()));
            task.state = State::Written(verdict);
        }
        true
    }

    /// One step of one task of a replica. `None` when it could not be made.
    pub fn advance(&mut self, at: usize, index: usize, shared: &mut Shared) -> Option<Option<Ended<S>>> {
        let Replica { memory, tasks, queue, skew, .. } = &mut self.replicas[at];
        let entity = S::entity(&tasks.get(index)?.work);
        let earlier = tasks.get(..index)?.iter();
        if entity.is_some() && earlier.into_iter().any(|earlier| S::entity(&earlier.work) == entity) {
            return None;
        }
        let task = tasks.get_mut(index)?;
        let id = task.id;
        let cause = task.event.clone();
        let mut place = At { db: &mut self.db, memory, skew: *skew, shared };
        let progress = match &task.state {
            State::Queued(_) => return None,
            State::Written(verdict) => {
                let verdict = *verdict;
                task.state = State::Ready;
                S::written(&mut place, &mut task.work, verdict)
            }
            State::Ready => {
                let poisoned = cause.as_ref().is_some_and(|event| place.shared.poisoned.contains(&event.id));
                if poisoned && !place.shared.choices.is_calm() {
                    S::fell(place.memory, id, &mut task.work);
                    Progress::Over(Outcome::Refused("its actor panicked".to_owned()))
                } else {
                    S::step(&mut place, id, &mut task.work, cause.as_ref())
                }
            }
        };
        match progress {
            Progress::Blocked => None,
            Progress::Onward => Some(None),
            Progress::Commit(entry) => {
                task.state = State::Queued(entry);
                queue.push_back(id);
                Some(None)
            }
            Progress::Over(outcome) => {
                let task = tasks.remove(index);
                shared.note(|| {
                    let said = match &outcome {
                        Outcome::Done(_) => "done",
                        Outcome::Away => "away",
                        Outcome::Refused(why) => why.as_str(),
                        Outcome::KeyTaken => "key taken",
                    };
                    let event = task.event.as_ref().map(|event| shown(event)).unwrap_or_default();
                    format!("{}-{at} #{id} {event}: {said}", S::TOPIC.service())
                });
                Some(self.settle(at, task, outcome, shared))
            }
        }
    }

    /// What becomes of an event whose handling is over; whoever else asked is told by the caller.
    fn settle(
        &mut self,
        at: usize,
        task: Task<S>,
        outcome: Outcome<S::Answer>,
        shared: &mut Shared,
    ) -> Option<Ended<S>> {
        let Task { id, origin, work, event, attempts, .. } = task;
        let Some(event) = event else { return Some(Ended { replica: at, origin, work, outcome }) };
        let failed = match &outcome {
            Outcome::Done(_) => false,
            Outcome::Refused(_) if attempts + 1 >= ATTEMPTS => true,
            // Tried again, from the beginning.
            Outcome::Away | Outcome::Refused(_) | Outcome::KeyTaken => {
                let attempts = attempts + u32::from(outcome != Outcome::Away);
                if let Ok(Some(work)) = S::work(&event) {
                    let state = State::Ready;
                    self.replicas[at].tasks.push(Task {
                        id,
                        origin,
                        work,
                        event: Some(event),
                        attempts,
                        state,
                    });
                }
                return None;
            }
        };
        match origin {
            Origin::Event(slot) => self.through(at, slot, event, failed, shared),
            Origin::Letter(group) => self.redriven(at, group, event, failed, shared),
            _ => {}
        }
        None
    }

    fn through(&mut self, at: usize, slot: Slot, event: Rc<Envelope>, failed: bool, shared: &mut Shared) {
        let intake = &mut self.replicas[at].intakes[slot.group];
        let key = event.key;
        // Whose partition it is now decides what becomes of what failed.
        if failed && intake.is_ours(slot) {
            shared.note(|| format!("{}-{at} gives up {}", S::TOPIC.service(), shown(&event)));
            intake.dead.insert(key);
            self.db.bury(slot.group, event);
            if !shared.has(Defect::ParkNothing) {
                for (slot, follower) in intake.lanes.remove(&key).into_iter().flatten().skip(1) {
                    self.db.park(slot.group, follower);
                    intake.close(slot);
                }
            }
        }
        if let Some((slot, next)) = intake.done(slot, key) {
            self.begin(at, Origin::Event(slot), next, shared);
        }
    }
}

impl<S: Service> Default for Node<S> {
    fn default() -> Self {
        Self::new()
    }
}
