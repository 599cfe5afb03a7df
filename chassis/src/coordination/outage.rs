//! Coordination's absence is told once for the whole process, and so is its return.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{info, warn};

/// Services start in any order: an absence shorter than this is nothing to tell.
const NEWS_AFTER: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Outage(Mutex<State>);

#[derive(Default)]
struct State {
    since: Option<Instant>,
    told: bool,
}

impl Outage {
    /// A call failed because coordination, or who vouches for us there, is away.
    pub fn failed(&self, error: &dyn std::fmt::Display) {
        let mut state = self.0.lock();
        let since = *state.since.get_or_insert_with(Instant::now);
        if !state.told && since.elapsed() >= NEWS_AFTER {
            state.told = true;
            warn!(%error, "coordination is away; going on with what is known");
        }
    }

    /// A call was answered.
    pub fn answered(&self) {
        let mut state = self.0.lock();
        if let (Some(since), true) = (state.since, state.told) {
            info!(seconds = since.elapsed().as_secs(), "coordination is back");
        }
        *state = State::default();
    }
}
