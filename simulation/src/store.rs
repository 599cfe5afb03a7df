//! A model of one service's database: events with guarded versions, inbox, the service's own tables, dead letters.
//!
//! One [`Entry`] is all or nothing. The order of the questions that decide about it is the committer's: are these very
//! events there (an earlier try was committed), was its cause handled, does each version follow, do the tables take it.

use std::{collections::BTreeMap, rc::Rc};

use uuid::Uuid;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{Envelope, Topic};

use crate::{defect::Defect, shared::Shared};

/// What one entity wants written.
#[derive(Debug, Clone)]
pub struct Entry<C> {
    /// Its events.
    pub events: Vec<NewEvent>,
    /// The event of another service that this is the effect of.
    pub cause: Option<Rc<Envelope>>,
    /// What the service's own tables need to know.
    pub change: C,
}

/// What became of an entry, as its owner hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is committed.
    Done,
    /// Another writer was faster.
    Conflict,
    /// Its cause has had its effect.
    Duplicate,
    /// The tables do not take it.
    Refused,
    /// Nobody knows.
    Unavailable,
}

/// A service's own tables.
pub trait Tables: Default {
    /// What one entry changes.
    type Change;
    /// True when the constraints hold afterwards.
    fn fits(&self, change: &Self::Change, defect: Option<Defect>) -> bool;
    /// Changes them.
    fn apply(&mut self, change: &Self::Change);
    /// What should never be, in what was touched.
    fn flaw(&self, change: &Self::Change) -> Option<String>;
}

/// Whether a letter waits for a person, behind another one, or to be handled once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterState {
    /// Given up.
    Dead,
    /// Behind a letter of its key.
    Parked,
    /// To be handled once more.
    Redriving,
}

/// Letters of one key of one consumer, oldest first.
pub type Letters = Vec<(Rc<Envelope>, LetterState)>;

/// One service's database.
#[derive(Debug)]
pub struct Database<T> {
    topic: Topic,
    /// Every event, by position.
    pub events: Vec<Rc<Envelope>>,
    streams: BTreeMap<Uuid, Vec<usize>>,
    inbox: BTreeMap<Uuid, u32>,
    /// The newest version that had an effect, by topic and key of its cause.
    caused: BTreeMap<(usize, Uuid), i32>,
    /// The service's own tables.
    pub tables: T,
    /// By topic and key.
    pub letters: BTreeMap<(usize, Uuid), Letters>,
}

impl<T: Tables> Database<T> {
    /// An empty one.
    pub fn new(topic: Topic) -> Self {
        Self {
            topic,
            events: Vec::new(),
            streams: BTreeMap::new(),
            inbox: BTreeMap::new(),
            caused: BTreeMap::new(),
            tables: T::default(),
            letters: BTreeMap::new(),
        }
    }

    /// The events of one stream behind a version.
    pub fn stream(&self, id: Uuid, after: i32) -> impl Iterator<Item = &Rc<Envelope>> {
        let places = self.streams.get(&id).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(after).unwrap_or(0).min(places.len());
        places.iter().skip(from).filter_map(|at| self.events.get(*at))
    }

    /// The newest version of a stream.
    pub fn newest(&self, id: Uuid) -> i32 {
        self.streams.get(&id).map_or(0, |places| places.len() as i32)
    }

    /// Every stream.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.streams.keys().copied()
    }

    /// Writes an entry, or says why not.
    pub fn write(&mut self, entry: &Entry<T::Change>, shared: &mut Shared) -> Verdict {
        let occupant = |event: &NewEvent| {
            let at = usize::try_from(event.version - 1).unwrap_or(usize::MAX);
            let place = self.streams.get(&event.stream)?.get(at)?;
            self.events.get(*place).map(|stored| stored.id)
        };
        if !entry.events.is_empty() && entry.events.iter().all(|event| occupant(event) == Some(event.id)) {
            return Verdict::Done;
        }
        if let Some(cause) = &entry.cause
            && self.inbox.contains_key(&cause.id.uuid())
            && !shared.has(Defect::DedupeOff)
        {
            return Verdict::Duplicate;
        }
        let mut expected: BTreeMap<Uuid, i32> = BTreeMap::new();
        let follows = entry.events.iter().all(|event| {
            let next = expected.entry(event.stream).or_insert_with(|| self.newest(event.stream));
            *next += 1;
            event.version == *next
        });
        if !follows && !shared.has(Defect::GuardOff) {
            return Verdict::Conflict;
        }
        if !self.tables.fits(&entry.change, shared.defect) {
            return Verdict::Refused;
        }
        if let Some(cause) = &entry.cause {
            self.remember(cause, shared);
        }
        for event in &entry.events {
            self.append(event, shared);
        }
        self.tables.apply(&entry.change);
        if let Some(flaw) = self.tables.flaw(&entry.change) {
            shared.violate(flaw);
        }
        Verdict::Done
    }

    fn remember(&mut self, cause: &Rc<Envelope>, shared: &mut Shared) {
        let times = self.inbox.entry(cause.id.uuid()).or_default();
        *times += 1;
        if *times > 1 {
            shared.violate(format!("{} had the effect of {} twice", self.topic.service(), shown(cause)));
        }
        let topic = crate::shared::index(cause.topic);
        let newest = self.caused.entry((topic, cause.key)).or_default();
        if cause.version <= *newest {
            let service = self.topic.service();
            shared.violate(format!(
                "{service} had the effect of {} behind that of version {newest}",
                shown(cause)
            ));
        }
        *newest = cause.version;
    }

    fn append(&mut self, event: &NewEvent, shared: &mut Shared) {
        let stream = self.streams.entry(event.stream).or_default();
        stream.push(self.events.len());
        let envelope = Rc::new(Envelope {
            id: event.id,
            topic: self.topic,
            position: self.events.len() as i64 + 1,
            key: event.stream,
            version: event.version,
            kind: event.kind.into(),
            occurred_at: event.occurred_at,
            traceparent: None,
            data: event.data.clone().into(),
        });
        if event.version != stream.len() as i32 {
            shared.violate(format!(
                "versions fork: {} is number {} of its stream",
                shown(&envelope),
                stream.len()
            ));
        }
        shared.note(|| format!("  committed {}", shown(&envelope)));
        self.events.push(envelope);
    }
}

/// An event in one word.
pub fn shown(event: &Envelope) -> String {
    format!("{}/{} v{}", event.kind, crate::shared::number(event.key), event.version)
}
