//! Entities that fell too often: each alone is stopped, and stays so until somebody releases it.
//!
//! The list is bounded. Whoever is on it longest is forgiven first, for a forgotten entity is tried afresh while a
//! forgotten list would grow for ever; a process that starts begins with nobody on it.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use tokio::time::Instant;

use crate::Exit;
use crate::tree::Quarantined;

pub(super) struct Quarantine<I> {
    held: HashMap<I, Held>,
    most: usize,
}

struct Held {
    since: Instant,
    restarts: u32,
    exit: Exit,
}

impl<I: Clone + Eq + Hash + Display> Quarantine<I> {
    pub(super) fn at_most(most: usize) -> Quarantine<I> {
        Quarantine { held: HashMap::new(), most: most.max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// The one look that a message for an entity which is not alive costs.
    pub(super) fn holds(&self, id: &I) -> bool {
        !self.held.is_empty() && self.held.contains_key(id)
    }

    /// Takes one in. `true` when another one was forgiven for it.
    pub(super) fn take_in(&mut self, id: I, restarts: u32, exit: Exit, now: Instant) -> bool {
        let full = self.held.len() >= self.most && !self.held.contains_key(&id);
        if full {
            let longest = self.held.iter().min_by_key(|(_, held)| held.since).map(|(id, _)| id.clone());
            longest.and_then(|longest| self.held.remove(&longest));
        }
        self.held.insert(id, Held { since: now, restarts, exit });
        full
    }

    /// Lets one go whose id reads like this. `false` when it is not here.
    pub(super) fn release(&mut self, id: &str) -> bool {
        let found = self.held.keys().find(|held| held.to_string() == id).cloned();
        found.and_then(|id| self.held.remove(&id)).is_some()
    }

    /// The latest first.
    pub(super) fn list(&self, now: Instant) -> Vec<Quarantined> {
        let mut held: Vec<_> = self.held.iter().collect();
        held.sort_by_key(|(_, held)| std::cmp::Reverse(held.since));
        let shown = held.into_iter().map(|(id, held)| Quarantined {
            id: id.to_string(),
            restarts: held.restarts,
            last_exit: held.exit.clone(),
            seconds_ago: now.duration_since(held.since).as_secs_f64(),
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_held_longest_is_forgiven_when_there_is_no_more_room() {
        let mut quarantine = Quarantine::at_most(2);
        let take = |quarantine: &mut Quarantine<u32>, id| {
            quarantine.take_in(id, 3, Exit::Failed(format!("no {id}")), Instant::now())
        };
        assert!(!take(&mut quarantine, 1));
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert!(!take(&mut quarantine, 2));
        assert!(!take(&mut quarantine, 2), "the same one again takes no more room");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert!(take(&mut quarantine, 3));
        let ids: Vec<String> = quarantine.list(Instant::now()).into_iter().map(|held| held.id).collect();
        assert_eq!(ids, ["3", "2"]);
        assert!(!quarantine.holds(&1) && quarantine.holds(&2));
        assert!(quarantine.release("2") && !quarantine.release("2") && !quarantine.release("two"));
        assert_eq!(quarantine.len(), 1);
    }
}
