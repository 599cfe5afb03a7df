//! One service: its database, its relay, and two replicas that know nothing of each other.
//!
//! The order of steps is the platform's: take an event in hand, decide on what is in memory, commit with the cause in the
//! same entry, believe, say that the event is done, save the place. Each arrow is a step of its own here, so that a crash
//! or another replica can come between any two.

use std::{collections::VecDeque, fmt::Debug, rc::Rc};

use uuid::Uuid;
use viscount_contracts::{Envelope, Topic};

use crate::{
    intake::{Intake, Slot},
    shared::{PARTITIONS, REPLICAS, Shared},
    store::{Database, Entry, Tables, Verdict, shown},
};

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
pub(crate) enum State<C> {
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
    pub(crate) event: Option<Rc<Envelope>>,
    pub(crate) attempts: u32,
    pub(crate) state: State<S::Change>,
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
    pub(crate) relay: (usize, usize),
    /// Taken by the relay and not yet published: only with a defect.
    pub(crate) taken: Option<Rc<Envelope>>,
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

fn replica<S: Service>(skew: i64) -> Replica<S> {
    let intakes = S::LISTENS.iter().map(|_| Intake::default()).collect();
    Replica { memory: S::Memory::default(), tasks: Vec::new(), queue: VecDeque::new(), skew, intakes }
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
            replicas: (0..REPLICAS).map(|_| replica(0)).collect(),
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
        let skew = self.replicas[at].skew;
        self.replicas[at] = replica(skew);
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

    pub(crate) fn begin(&mut self, replica: usize, origin: Origin, event: Rc<Envelope>, shared: &mut Shared) {
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
}

impl<S: Service> Default for Node<S> {
    fn default() -> Self {
        Self::new()
    }
}
