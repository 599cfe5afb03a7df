//! Which spans of traces that are not sampled are exported all the same: those that failed, and those that were open
//! around them in this process.
//!
//! A span is known here from its beginning to its end, by its id, so that a failure finds the spans around it even where
//! a message came from another actor's task in between. What had ended before, and what is open in another process, is
//! not told: nobody keeps it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use parking_lot::Mutex;

/// Locks that spans spread over.
const SHARDS: usize = 16;
/// Open spans that are known at once, in each: more are exported only when they fail themselves.
const MOST: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct OpenSpans {
    shards: [Shard; SHARDS],
}

type Shard = Mutex<HashMap<u64, Open, BuildHasherDefault<AsItIs>>>;

/// Ids that we made are random: nobody can choose them to collide, and there is nothing to stir.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }

    fn finish(&self) -> u64 {
        // What chose the shard is the same for all in it, and tells the table least at this end.
        self.0.rotate_right(SHARDS.ilog2())
    }
}

#[derive(Debug)]
struct Open {
    parent: Option<u64>,
    keep: bool,
}

impl OpenSpans {
    /// A span begins.
    pub fn begin(&self, span: u64, parent: Option<u64>) {
        let mut shard = self.shard(span).lock();
        if shard.len() < MOST {
            shard.insert(span, Open { parent, keep: false });
        }
    }

    /// It ends; true when it is to be exported.
    pub fn end(&self, span: u64, parent: Option<u64>, failed: bool) -> bool {
        let known = match self.shard(span).lock().entry(span) {
            Entry::Occupied(open) => Some(open.remove()),
            Entry::Vacant(_) => None,
        };
        if failed {
            self.keep_from(parent);
        }
        failed || known.is_some_and(|open| open.keep)
    }

    fn keep_from(&self, mut span: Option<u64>) {
        while let Some(id) = span {
            let mut shard = self.shard(id).lock();
            match shard.get_mut(&id) {
                // Whoever marked it has marked those around it, too.
                Some(open) if !open.keep => {
                    open.keep = true;
                    span = open.parent;
                }
                _ => return,
            }
        }
    }

    fn shard(&self, span: u64) -> &Shard {
        &self.shards[span as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_what_is_open_around_it_and_nothing_else() {
        let spans = OpenSpans::default();
        spans.begin(1, None);
        spans.begin(2, Some(1));
        spans.begin(3, Some(2));
        spans.begin(4, Some(2));
        assert!(!spans.end(4, Some(2), false), "ended before");
        assert!(spans.end(3, Some(2), true), "failed");
        assert!(spans.end(2, Some(1), false), "around");
        spans.begin(5, Some(1));
        assert!(!spans.end(5, Some(1), false), "beside");
        assert!(spans.end(1, None, false), "around that");
        assert!(spans.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn too_many_are_not_remembered_and_still_tell_their_own_failure() {
        let spans = OpenSpans::default();
        for span in 0..200_000 {
            spans.begin(span, None);
        }
        let known: usize = spans.shards.iter().map(|shard| shard.lock().len()).sum();
        assert_eq!(known, SHARDS * MOST);
        assert!(spans.end(199_999, None, true));
        assert!(!spans.end(199_998, None, false));
    }
}
