//! What a replica's consumer holds in memory: which partitions are its own, how far it has read, what is in hand.
//!
//! Events of one key go one after the other (lanes); what is saved is the end of the contiguous finished prefix.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use uuid::Uuid;
use viscount_contracts::Envelope;

use crate::shared::PARTITIONS;

/// Where an event in hand came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which of the topics that the service listens to.
    pub group: usize,
    /// Of its partitions.
    pub partition: usize,
    /// Which time the partition was whose.
    pub turn: u32,
    /// Its place there.
    pub offset: usize,
}

/// A partition that is this replica's, as far as it knows.
#[derive(Debug)]
pub struct Mine {
    /// Which time.
    pub turn: u32,
    /// Up to here it has been read.
    pub read: usize,
    /// In hand.
    pub open: BTreeSet<usize>,
}

impl Mine {
    /// The end of the finished prefix.
    pub fn finished(&self) -> usize {
        self.open.first().copied().unwrap_or(self.read)
    }
}

/// The consumer of one topic in one replica.
#[derive(Debug, Default)]
pub struct Intake {
    /// Its partitions.
    pub mine: [Option<Mine>; PARTITIONS],
    /// Events in hand, by key; the first of each is being handled.
    pub lanes: BTreeMap<Uuid, VecDeque<(Slot, Rc<Envelope>)>>,
    /// Keys that have a letter, as far as is known here.
    pub dead: BTreeSet<Uuid>,
    /// Keys of which a letter is being handled once more.
    pub busy: BTreeSet<Uuid>,
}

impl Intake {
    /// An event is through. Gives the next one of its key.
    pub fn done(&mut self, slot: Slot, key: Uuid) -> Option<(Slot, Rc<Envelope>)> {
        self.close(slot);
        let lane = self.lanes.get_mut(&key)?;
        lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&key);
            return None;
        }
        lane.front().cloned()
    }

    /// An event is no longer in hand.
    pub fn close(&mut self, slot: Slot) {
        if let Some(mine) = self.mine.get_mut(slot.partition).and_then(Option::as_mut)
            && mine.turn == slot.turn
        {
            mine.open.remove(&slot.offset);
        }
    }

    /// True when the partition is still this replica's, as far as it knows.
    pub fn is_ours(&self, slot: Slot) -> bool {
        self.mine.get(slot.partition).and_then(Option::as_ref).is_some_and(|mine| mine.turn == slot.turn)
    }

    /// True when an event of this key is in hand, of a partition that has not been another's since.
    pub fn has_in_hand(&self, key: Uuid) -> bool {
        self.lanes.get(&key).is_some_and(|lane| lane.iter().any(|(slot, _)| self.is_ours(*slot)))
    }

    /// The partition is somebody else's: what waits of it is not begun.
    pub fn forget(&mut self, partition: usize) {
        if let Some(mine) = self.mine.get_mut(partition) {
            *mine = None;
        }
        for lane in self.lanes.values_mut() {
            let mut first = true;
            lane.retain(|(slot, _)| std::mem::take(&mut first) || slot.partition != partition);
        }
    }
}
