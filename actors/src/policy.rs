//! When to restart, how often, and after which pause. Pure: time and chance come in as arguments.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::Exit;

/// Which ends of a child call for a restart (Erlang/OTP's restart types).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Always, also after a normal end.
    Permanent,
    /// Only after a failure; a normal end is the end.
    Transient,
    /// Never.
    Temporary,
}

impl Restart {
    /// Whether a child with this policy is started again after `exit`.
    pub fn wants(self, exit: &Exit) -> bool {
        match self {
            Restart::Permanent => !matches!(exit, Exit::Stopped),
            Restart::Transient => exit.is_failure(),
            Restart::Temporary => false,
        }
    }
}

/// Whom a supervisor restarts when one of its children falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// That child alone.
    OneForOne,
    /// All children: stopped in reverse order, started again in order.
    OneForAll,
    /// That child and those started after it.
    RestForOne,
}

/// How many restarts a supervisor (or one entity) may have within a sliding window before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Intensity {
    /// The restart after this many within the window is refused.
    pub max_restarts: u32,
    /// The length of the window.
    #[serde(rename = "window_seconds", serialize_with = "seconds")]
    pub window: Duration,
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

impl Default for Intensity {
    fn default() -> Self {
        Intensity { max_restarts: 5, window: Duration::from_secs(30) }
    }
}

/// The pause before a restart: exponential, with jitter, so that what fell together does not rise together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first pause.
    pub base: Duration,
    /// The longest pause of all.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The pause before restart number `attempt` (from 0), spread by `draw` in `0.0..=1.0`:
    /// between `base / 2` and `min(cap, base * 2^attempt)`.
    ///
    /// This is the "full jitter" of the AWS Architecture Blog (Brooker 2015) with a floor, because an immediate
    /// restart is the one pause that never helps.
    pub fn spread(&self, attempt: u32, draw: f64) -> Duration {
        let ceiling = self.base.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(self.cap);
        let floor = (self.base / 2).min(ceiling);
        floor + (ceiling - floor).mul_f64(draw.clamp(0.0, 1.0))
    }

    /// [`Backoff::spread`] with a drawn number.
    pub fn delay(&self, attempt: u32) -> Duration {
        self.spread(attempt, rand::random_range(0.0..=1.0))
    }
}

/// Falls within a sliding window.
#[derive(Debug)]
pub(crate) struct Falls {
    window: Duration,
    times: VecDeque<Instant>,
}

impl Falls {
    pub(crate) fn within(window: Duration) -> Falls {
        Falls { window, times: VecDeque::new() }
    }

    /// Adds one; says how many there were before it.
    pub(crate) fn count(&mut self, now: Instant) -> u32 {
        let before = self.recent(now);
        self.times.push_back(now);
        before
    }

    fn recent(&mut self, now: Instant) -> u32 {
        while let Some(oldest) = self.times.front()
            && now.duration_since(*oldest) > self.window
        {
            self.times.pop_front();
        }
        self.times.len() as u32
    }
}

/// The restarts that somebody may still have.
#[derive(Debug)]
pub(crate) struct Budget {
    max_restarts: u32,
    falls: Falls,
}

impl Budget {
    pub(crate) fn new(intensity: Intensity) -> Budget {
        Budget { max_restarts: intensity.max_restarts, falls: Falls::within(intensity.window) }
    }

    /// Takes one restart; says how many there were in the window before it, or `None` when there is none left.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u32> {
        (self.falls.recent(now) < self.max_restarts).then(|| self.falls.count(now))
    }

    pub(crate) fn remaining(&mut self, now: Instant) -> u32 {
        self.max_restarts.saturating_sub(self.falls.recent(now))
    }

    pub(crate) fn refill(&mut self) {
        self.falls.times.clear();
    }

    pub(crate) fn intensity(&self) -> Intensity {
        Intensity { max_restarts: self.max_restarts, window: self.falls.window }
    }
}
