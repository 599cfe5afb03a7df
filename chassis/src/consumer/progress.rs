//! How far a consumer has come: the contiguous finished prefix of each partition.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::failpoint::defect;

/// Which offsets of a partition are in hand. Everything read and not in hand is done.
struct Progress {
    /// With when they happened.
    open: BTreeMap<i64, Timestamp>,
    /// How many of those in hand will stay so.
    abandoned: usize,
    read: i64,
    saved: i64,
}

impl Progress {
    fn new(start: i64) -> Self {
        Self { open: BTreeMap::new(), abandoned: 0, read: start, saved: start }
    }

    fn open(&self) -> usize {
        self.open.len()
    }

    fn begin(&mut self, position: i64, occurred_at: Timestamp) {
        self.open.insert(position, occurred_at);
        self.read = self.read.max(position);
    }

    fn skip(&mut self, position: i64) {
        self.read = self.read.max(position);
    }

    fn done(&mut self, position: i64) {
        self.open.remove(&position);
    }

    /// The end of the finished prefix.
    fn finished(&self) -> i64 {
        if defect("defect.offset") {
            return self.read;
        }
        self.open.first_key_value().map_or(self.read, |(oldest, _)| oldest - 1)
    }

    /// The same, when it has moved since it was last saved.
    fn unsaved(&self) -> Option<i64> {
        let finished = self.finished();
        (finished > self.saved).then_some(finished)
    }

    fn saved(&mut self, position: i64) {
        self.saved = position;
    }
}

/// Where an event in hand came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) partition: i32,
    /// Which time this partition was ours: what is left over from an earlier time counts no more.
    turn: u32,
    pub(super) offset: i64,
}

/// How far each partition has come.
#[derive(Default)]
pub(super) struct Partitions {
    /// Few, so that looking through them is the fastest.
    known: Vec<(i32, u32, Progress)>,
    turns: u32,
}

impl Partitions {
    /// True when this partition was not ours a moment ago.
    pub(super) fn is_new(&self, partition: i32) -> bool {
        !self.known.iter().any(|(known, ..)| *known == partition)
    }

    /// A partition's events begin to come; everything up to and including `start` is done.
    pub(super) fn add(&mut self, partition: i32, start: i64) {
        self.turns += 1;
        self.known.push((partition, self.turns, Progress::new(start)));
    }

    /// An event that is taken in hand.
    pub(super) fn begin(&mut self, partition: i32, offset: i64, occurred_at: Timestamp) -> Slot {
        let mut slot = Slot { partition, turn: 0, offset };
        if let Some((_, turn, progress)) = self.known.iter_mut().find(|(known, ..)| *known == partition) {
            progress.begin(offset, occurred_at);
            slot.turn = *turn;
        }
        slot
    }

    /// Everything up to here has been read.
    pub(super) fn skip(&mut self, partition: i32, through: i64) {
        if let Some((.., progress)) = self.known.iter_mut().find(|(known, ..)| *known == partition) {
            progress.skip(through);
        }
    }

    pub(super) fn done(&mut self, slot: Slot) {
        if let Some(progress) = self.of(slot) {
            progress.done(slot.offset);
        }
    }

    /// It will not be done here. Nothing behind it will be saved.
    pub(super) fn abandon(&mut self, slot: Slot) {
        if let Some(progress) = self.of(slot) {
            progress.abandoned += 1;
        }
    }

    /// True while the partition has not been somebody else's since.
    pub(super) fn is_ours(&self, slot: Slot) -> bool {
        self.known.iter().any(|(partition, turn, _)| *partition == slot.partition && *turn == slot.turn)
    }

    fn of(&mut self, slot: Slot) -> Option<&mut Progress> {
        let ours = |(partition, turn, _): &&mut (i32, u32, Progress)| {
            *partition == slot.partition && *turn == slot.turn
        };
        self.known.iter_mut().find(ours).map(|(.., progress)| progress)
    }

    /// How many events are in hand.
    pub(super) fn open(&self) -> usize {
        self.known.iter().map(|(.., progress)| progress.open()).sum()
    }

    /// True when nothing of these is being handled.
    pub(super) fn are_idle(&self, partitions: &[i32]) -> bool {
        let theirs = self.known.iter().filter(|(partition, ..)| partitions.contains(partition));
        theirs.into_iter().all(|(.., progress)| progress.open() == progress.abandoned)
    }

    /// They are somebody else's.
    pub(super) fn remove(&mut self, partitions: &[i32]) {
        self.known.retain(|(partition, ..)| !partitions.contains(partition));
    }

    /// For each partition the end of its finished prefix, and when the oldest event happened that is in hand.
    pub(super) fn standing(&self) -> impl Iterator<Item = (i32, i64, Option<Timestamp>)> {
        self.known.iter().map(|(partition, _, progress)| {
            let oldest = progress.open.first_key_value().map(|(_, occurred_at)| *occurred_at);
            (*partition, progress.finished(), oldest)
        })
    }

    pub(super) fn has_unsaved(&self) -> bool {
        self.known.iter().any(|(.., progress)| progress.unsaved().is_some())
    }

    /// The end of each finished prefix that has moved since it was last saved.
    pub(super) fn unsaved(&self) -> Vec<(i32, i64)> {
        let each = self.known.iter();
        each.filter_map(|(partition, _, progress)| Some((*partition, progress.unsaved()?))).collect()
    }

    pub(super) fn saved(&mut self, done: &[(i32, i64)]) {
        for (partition, offset) in done {
            if let Some((.., progress)) = self.known.iter_mut().find(|(known, ..)| known == partition) {
                progress.saved(*offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever order events finish in, no unfinished event is ever below the saved place.
        #[test]
        fn the_saved_place_never_passes_an_open_event(
            wanted in prop::collection::vec(any::<bool>(), 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let mut progress = Progress::new(0);
            let mut open = Vec::new();
            for (position, wanted) in (1..).zip(&wanted) {
                if *wanted {
                    progress.begin(position, Timestamp::UNIX_EPOCH);
                    open.push(position);
                } else {
                    progress.skip(position);
                }
            }
            for index in order {
                if !open.is_empty() {
                    let position = open.remove(index.index(open.len()));
                    progress.done(position);
                }
                if let Some(finished) = progress.unsaved() {
                    prop_assert!(open.iter().all(|position| *position > finished));
                    progress.saved(finished);
                }
            }
            for position in open {
                progress.done(position);
            }
            let last = wanted.len() as i64;
            prop_assert!(progress.unsaved() == Some(last) || progress.saved == last);
        }
    }

    #[test]
    fn what_is_left_over_from_an_earlier_turn_counts_no_more() {
        let mut partitions = Partitions::default();
        partitions.add(3, 9);
        let at = Timestamp::UNIX_EPOCH;
        let (first, second) = (partitions.begin(3, 10, at), partitions.begin(3, 11, at));
        partitions.abandon(second);
        assert!(!partitions.are_idle(&[3]), "the first is being handled");
        partitions.done(first);
        assert!(partitions.are_idle(&[3]));
        assert_eq!(partitions.unsaved(), [(3, 10)], "what was abandoned is not done");
        partitions.remove(&[3]);
        partitions.add(3, 10);
        let again = partitions.begin(3, 11, at);
        partitions.done(second);
        assert_eq!(partitions.unsaved(), []);
        partitions.done(again);
        assert_eq!(partitions.unsaved(), [(3, 11)]);
    }
}
