//! The bounds of a router.

use std::time::Duration;

use crate::{Backoff, Intensity};

/// How much a router takes in and keeps alive, and how its entities restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSpec {
    /// Messages that may wait for one entity.
    pub mailbox: usize,
    /// Messages that one `handle` gets at most.
    pub batch: usize,
    /// Entities alive. Beyond it the one that has been idle longest is passivated; when none is idle, a message for
    /// one more entity is refused.
    pub max_live: usize,
    /// Messages accepted and not yet finished, over all entities.
    pub in_flight: usize,
    /// An entity without messages for this long is passivated.
    pub idle: Duration,
    /// Falls that one entity may have in a window. Beyond it, it alone is quarantined: what waits is answered
    /// [`Quarantined`](crate::AskError::Quarantined), and so is all that comes until it is released. By default four in
    /// 30 s: a message that is tried five times in a row, and panics each time, ends there.
    pub intensity: Intensity,
    /// Pauses before an entity is loaded again after a fall.
    pub backoff: Backoff,
    /// Entities in quarantine at most. Beyond it the one that is there longest is forgiven, and tried afresh.
    pub quarantine: usize,
    /// A batch that takes longer than this counts as stuck. It is reported, not interrupted.
    pub stuck_after: Duration,
    /// How long a batch may take, by the kinds of its messages (see [`Entity::kind`](crate::Entity::kind)); `None`
    /// stands for all kinds that are not named. A batch of several kinds has the longest of their deadlines, and none
    /// when one of them has none.
    pub deadlines: Vec<Deadline>,
}

/// How long a handler may take, and what happens then. Looked at about once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The kind of message; `None`: all that have no deadline of their own.
    pub message: Option<&'static str>,
    /// From the moment at which the entity took the batch up.
    pub after: Duration,
    /// What happens to an entity that is late.
    pub then: Overdue,
}

impl Deadline {
    /// One for all kinds of messages.
    pub fn of_all(after: Duration, then: Overdue) -> Deadline {
        Deadline { message: None, after, then }
    }
}

/// What happens to an entity whose handler is late. It is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing.
    Report,
    /// The handler is dropped where it waits, its askers hear `TimedOut`, and the state is loaded afresh. It counts as a
    /// fall. A handler that does not give its thread back cannot be dropped.
    Restart,
}

impl Overdue {
    /// For a metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Overdue::Report => "reported",
            Overdue::Restart => "restarted",
        }
    }
}

impl Default for RouterSpec {
    fn default() -> Self {
        RouterSpec {
            mailbox: 256,
            batch: 64,
            max_live: 50_000,
            in_flight: 8192,
            idle: Duration::from_secs(30),
            intensity: Intensity { max_restarts: 4, ..Intensity::default() },
            backoff: Backoff::default(),
            quarantine: 1024,
            stuck_after: Duration::from_secs(30),
            deadlines: Vec::new(),
        }
    }
}

impl RouterSpec {
    /// The deadline of a batch of messages of these kinds; of no kind, for those whose kinds have no names.
    pub(crate) fn deadline_of(&self, kinds: &[&'static str]) -> Option<Deadline> {
        let of = |kind: Option<&'static str>| {
            let named = self.deadlines.iter().find(|deadline| kind.is_some() && deadline.message == kind);
            named.or_else(|| self.deadlines.iter().find(|deadline| deadline.message.is_none())).copied()
        };
        let Some((first, others)) = kinds.split_first() else { return of(None) };
        others.iter().try_fold(of(Some(first))?, |longest, kind| {
            of(Some(kind)).map(|deadline| if deadline.after > longest.after { deadline } else { longest })
        })
    }

    /// No bound may be zero: nothing would ever pass.
    pub(crate) fn sound(mut self) -> RouterSpec {
        self.mailbox = self.mailbox.max(1);
        self.batch = self.batch.max(1);
        self.max_live = self.max_live.max(1);
        self.in_flight = self.in_flight.max(1);
        self
    }
}
