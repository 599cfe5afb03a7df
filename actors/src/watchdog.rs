//! Notices actors that make no progress.
//!
//! Two things can keep an actor from its work. It may wait for something that does not come: whoever owns its messages
//! sees that (a router its entities) and reports it here. Or it may not give the thread back: then nothing on its
//! arbiter runs, not even a timer, so one small thread per process looks at every arbiter from outside. A guardian pays
//! for that with two plain stores per poll.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use metrics::Counter;
use parking_lot::Mutex;

use crate::metrics::stuck_counter;

/// A poll that takes longer than this blocks its arbiter.
pub const BLOCKED_AFTER: Duration = Duration::from_secs(2);

/// An actor or an entity that is at its present messages for longer than this is shown in the tree. Longer than a commit
/// takes on a bad day, and shorter than any deadline that is set by default.
pub const SLOW: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One arbiter's sign of life, as far as one tree uses it.
pub(crate) struct Heart {
    service: &'static str,
    /// Odd while a guardian polls its actor.
    beats: AtomicU64,
    /// Index into `actors` of the one that is polled.
    at: AtomicU32,
    actors: Mutex<Vec<Arc<Watched>>>,
}

/// What the watchdog knows of one actor (of all entities of one router).
pub(crate) struct Watched {
    name: &'static str,
    stuck: AtomicU64,
    /// Since when it keeps its thread, as far as the watchdog has seen.
    blocked_since: Mutex<Option<Instant>>,
    blocked_total: Counter,
    waiting_total: Counter,
}

impl Heart {
    pub(crate) fn new(service: &'static str) -> Arc<Heart> {
        let heart = Arc::new(Heart {
            service,
            beats: AtomicU64::new(0),
            at: AtomicU32::new(0),
            actors: Mutex::new(Vec::new()),
        });
        look_after(&heart);
        heart
    }

    pub(crate) fn pulse(self: &Arc<Self>, name: &'static str) -> Pulse {
        let mut actors = self.actors.lock();
        // Children of one name share an entry, so that short-lived ones leave nothing behind.
        let index = actors.iter().position(|watched| watched.name == name).unwrap_or_else(|| {
            actors.push(Arc::new(Watched {
                name,
                stuck: AtomicU64::new(0),
                blocked_since: Mutex::new(None),
                blocked_total: stuck_counter(self.service, name, "blocked"),
                waiting_total: stuck_counter(self.service, name, "waiting"),
            }));
            actors.len() - 1
        });
        Pulse { heart: Arc::clone(self), watched: Arc::clone(&actors[index]), index: index as u32 }
    }
}

/// One actor's part in its arbiter's heart.
#[derive(Clone)]
pub(crate) struct Pulse {
    heart: Arc<Heart>,
    watched: Arc<Watched>,
    index: u32,
}

impl Pulse {
    /// The actor is being polled for as long as the result lives.
    pub(crate) fn beat(&self) -> Beat<'_> {
        self.heart.at.store(self.index, Ordering::Relaxed);
        // Only this arbiter's thread writes, so that load and store need not be one step.
        let beats = self.heart.beats.load(Ordering::Relaxed);
        self.heart.beats.store(beats | 1, Ordering::Release);
        Beat { heart: &self.heart }
    }

    /// How often this actor was found without progress.
    pub(crate) fn stuck(&self) -> u64 {
        self.watched.stuck.load(Ordering::Relaxed)
    }

    /// For how long this actor has kept its thread, when that is too long.
    pub(crate) fn blocked_for(&self) -> Option<Duration> {
        self.watched.blocked_since.lock().map(|since| since.elapsed())
    }

    /// The actor holds messages and has made no progress on them for `since`.
    pub(crate) fn waits_in_vain(&self, since: Duration) {
        self.watched.stuck.fetch_add(1, Ordering::Relaxed);
        self.watched.waiting_total.increment(1);
        let (service, actor) = (self.heart.service, self.watched.name);
        tracing::error!(
            service,
            actor,
            seconds = since.as_secs_f64(),
            "actor makes no progress on its messages"
        );
    }
}

pub(crate) struct Beat<'a> {
    heart: &'a Heart,
}

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        let beats = self.heart.beats.load(Ordering::Relaxed);
        self.heart.beats.store((beats | 1).wrapping_add(1), Ordering::Release);
    }
}

static HEARTS: OnceLock<Mutex<Vec<Weak<Heart>>>> = OnceLock::new();

fn look_after(heart: &Arc<Heart>) {
    let mut first = false;
    let hearts = HEARTS.get_or_init(|| {
        first = true;
        Mutex::new(Vec::new())
    });
    hearts.lock().push(Arc::downgrade(heart));
    if first {
        let spawned =
            std::thread::Builder::new().name("actor-watchdog".to_owned()).spawn(move || look(hearts));
        if let Err(error) = spawned {
            tracing::warn!(%error, "no watchdog: its thread could not be started");
        }
    }
}

/// What the watchdog saw of a heart when it last looked.
struct Seen {
    heart: Weak<Heart>,
    beats: u64,
    since: Instant,
    /// Who was found to keep the thread.
    reported: Option<Arc<Watched>>,
}

fn look(hearts: &'static Mutex<Vec<Weak<Heart>>>) {
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        std::thread::park_timeout(LOOK_EVERY);
        let now = Instant::now();
        let new = hearts.lock().drain(..).collect::<Vec<_>>();
        seen.extend(new.into_iter().map(|heart| Seen { heart, beats: 0, since: now, reported: None }));
        seen.retain_mut(|seen| {
            let Some(heart) = seen.heart.upgrade() else {
                seen.moves_on();
                return false;
            };
            seen.look_at(&heart, now);
            true
        });
    }
}

impl Seen {
    fn look_at(&mut self, heart: &Heart, now: Instant) {
        let beats = heart.beats.load(Ordering::Acquire);
        if beats != self.beats || beats.is_multiple_of(2) {
            (self.beats, self.since) = (beats, now);
            self.moves_on();
            return;
        }
        if self.reported.is_some() || now - self.since < BLOCKED_AFTER {
            return;
        }
        let index = heart.at.load(Ordering::Relaxed) as usize;
        if let Some(watched) = heart.actors.lock().get(index) {
            self.reported = Some(Arc::clone(watched));
            *watched.blocked_since.lock() = Some(self.since);
            watched.stuck.fetch_add(1, Ordering::Relaxed);
            watched.blocked_total.increment(1);
            let (service, actor) = (heart.service, watched.name);
            tracing::error!(service, actor, "actor blocks its arbiter's thread");
        }
    }

    /// Nobody keeps the thread any more.
    fn moves_on(&mut self) {
        if let Some(watched) = self.reported.take() {
            *watched.blocked_since.lock() = None;
        }
    }
}
