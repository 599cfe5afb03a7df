//! What a polling thread has read and nobody has taken yet: one bounded queue for each partition.

use std::collections::{BTreeMap, VecDeque};

use viscount_contracts::Envelope;

use crate::log::{Batch, LogError, Record, Revoked, Unreadable};

/// A partition is paused when so many of its messages wait …
const HIGH: usize = 2_048;
const HIGH_BYTES: usize = 4 << 20;
/// … and resumed when no more than these are left.
const LOW: usize = 512;

/// What waits of one partition.
#[derive(Default)]
struct Waiting {
    records: VecDeque<(i64, Record)>,
    bytes: usize,
    /// Everything up to here has been read, what nobody needs included.
    through: i64,
}

/// All that waits, and what else there is to tell.
#[derive(Default)]
pub(super) struct Queues {
    partitions: BTreeMap<i32, Waiting>,
    /// The partition that was served last; the next one is the next to be served.
    served: i32,
    revoked: VecDeque<Revoked>,
    failure: Option<LogError>,
}

/// What comes next.
pub(super) enum Next {
    Batch(Batch),
    Revoked(Revoked),
    Failure(LogError),
    Nothing,
}

impl Queues {
    /// Adds what was read. True when its partition should be paused.
    pub(super) fn push(&mut self, partition: i32, offset: i64, record: Record) -> bool {
        let waiting = self.partitions.entry(partition).or_default();
        waiting.through = offset;
        waiting.bytes += weight(&record);
        waiting.records.push_back((offset, record));
        waiting.records.len() >= HIGH || waiting.bytes >= HIGH_BYTES
    }

    /// Notes that a message was read that nobody needs.
    pub(super) fn skip(&mut self, partition: i32, offset: i64) {
        self.partitions.entry(partition).or_default().through = offset;
    }

    /// True when a paused partition should be resumed.
    pub(super) fn has_room(&self, partition: i32) -> bool {
        let waiting = self.partitions.get(&partition);
        waiting.is_none_or(|waiting| waiting.records.len() <= LOW && waiting.bytes <= HIGH_BYTES / 4)
    }

    /// Forgets partitions that go, and tells so.
    pub(super) fn revoke(&mut self, revoked: Revoked) {
        self.partitions.retain(|partition, _| !revoked.partitions.contains(partition));
        self.revoked.push_back(revoked);
    }

    /// Nothing comes any more but this.
    pub(super) fn fail(&mut self, failure: LogError) {
        self.failure.get_or_insert(failure);
    }

    /// Nobody takes what is left; who waits for an answer has it.
    pub(super) fn end(&mut self) {
        self.partitions.clear();
        self.revoked.clear();
    }

    /// What comes next, of one partition after the other; no events when `max` is 0.
    pub(super) fn next(&mut self, max: usize) -> Next {
        if let Some(revoked) = self.revoked.pop_front() {
            return Next::Revoked(revoked);
        }
        if let Some(failure) = &self.failure {
            return Next::Failure(failure.clone());
        }
        if max == 0 {
            return Next::Nothing;
        }
        let waits = |waiting: &Waiting| !waiting.records.is_empty();
        let behind =
            self.partitions.range(self.served.saturating_add(1)..).find(|(_, waiting)| waits(waiting));
        let next = behind.or_else(|| self.partitions.iter().find(|(_, waiting)| waits(waiting)));
        let Some((&partition, _)) = next else { return Next::Nothing };
        self.served = partition;
        match self.partitions.get_mut(&partition) {
            Some(waiting) => Next::Batch(waiting.take(partition, max)),
            None => Next::Nothing,
        }
    }
}

impl Waiting {
    fn take(&mut self, partition: i32, max: usize) -> Batch {
        let count = max.min(self.records.len());
        let taken: Vec<_> = self.records.drain(..count).collect();
        self.bytes -= taken.iter().map(|(_, record)| weight(record)).sum::<usize>();
        let through = match (self.records.is_empty(), taken.last()) {
            (false, Some((offset, _))) => *offset,
            _ => self.through,
        };
        Batch::of_partition(partition, through, taken.into_iter())
    }
}

fn weight(record: &Record) -> usize {
    match record {
        Record::Event(event) => size_of::<Envelope>() + event.data.len(),
        Record::Unreadable(unreadable) => size_of::<Unreadable>() + unreadable.message.size(),
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, sync::Arc};

    use bytes::Bytes;
    use jiff::Timestamp;
    use uuid::Uuid;
    use viscount_contracts::{EventId, Topic};

    use super::*;
    use crate::log::RawMessage;

    fn event(size: usize) -> Record {
        Record::Event(Arc::new(Envelope {
            id: EventId::new(),
            topic: Topic::Orders,
            position: 1,
            key: Uuid::nil(),
            version: 1,
            kind: Cow::Borrowed("OrderCreated"),
            occurred_at: Timestamp::UNIX_EPOCH,
            traceparent: None,
            data: vec![0; size].into(),
        }))
    }

    fn unreadable(offset: i64, size: usize) -> Record {
        let value = Some(Bytes::from(vec![0; size]));
        let message =
            RawMessage { partition: 0, offset, timestamp: None, key: None, value, headers: Vec::new() };
        Record::Unreadable(Box::new(Unreadable { message, problem: "garbage".to_owned() }))
    }

    fn taken(queues: &mut Queues, max: usize) -> (i32, i64, Vec<i64>) {
        match queues.next(max) {
            Next::Batch(batch) => {
                let (partition, through) = (batch.partition, batch.through);
                (partition, through, batch.into_records().map(|(offset, _)| offset).collect())
            }
            _ => panic!("there should be a batch"),
        }
    }

    #[test]
    fn partitions_take_turns_and_what_could_not_be_read_is_passed() {
        let mut queues = Queues::default();
        for offset in 0..4 {
            queues.push(1, offset, event(1));
            queues.push(2, offset, event(1));
        }
        queues.skip(2, 4);
        assert_eq!(taken(&mut queues, 3), (1, 2, vec![0, 1, 2]));
        assert_eq!(taken(&mut queues, 9), (2, 4, vec![0, 1, 2, 3]));
        assert_eq!(taken(&mut queues, 9), (1, 3, vec![3]));
        assert!(matches!(queues.next(9), Next::Nothing));
    }

    #[test]
    fn a_partition_is_full_by_count_or_by_bytes_and_has_room_when_most_is_taken() {
        let mut queues = Queues::default();
        assert!((0..HIGH - 1).all(|offset| !queues.push(0, offset as i64, event(1))));
        assert!(queues.push(0, HIGH as i64, event(1)));
        taken(&mut queues, HIGH - LOW - 1);
        assert!(!queues.has_room(0));
        taken(&mut queues, 1);
        assert!(queues.has_room(0) && queues.has_room(7));
        assert!(queues.push(1, 0, event(HIGH_BYTES)));
    }

    #[test]
    fn what_cannot_be_read_is_handed_over_in_its_place() {
        let mut queues = Queues::default();
        queues.push(1, 7, unreadable(7, 1));
        queues.push(1, 8, event(1));
        queues.push(1, 9, unreadable(9, 1));
        let mut next = |max| match queues.next(max) {
            Next::Batch(mut batch) => {
                let unreadable =
                    batch.take_unreadable().into_iter().map(|unreadable| unreadable.message.offset);
                (batch.first(), batch.through, unreadable.collect::<Vec<_>>(), batch.into_records().count())
            }
            _ => panic!("there should be a batch"),
        };
        assert_eq!(next(1), (None, 7, vec![7], 0));
        assert_eq!(next(9), (Some(8), 9, vec![9], 1));
        assert!((0..HIGH_BYTES as i64 / 100_000).all(|offset| !queues.push(
            2,
            offset,
            unreadable(offset, 100_000)
        )));
        assert!(queues.push(2, 100, unreadable(100, 100_000)), "garbage is bounded, too");
    }

    #[test]
    fn what_waits_of_a_partition_that_goes_is_forgotten() {
        let mut queues = Queues::default();
        queues.push(1, 0, event(1));
        queues.push(2, 0, event(1));
        queues.revoke(Revoked::until(vec![1], tokio::time::Instant::now()).0);
        assert!(matches!(queues.next(1), Next::Revoked(revoked) if revoked.partitions == [1]));
        assert_eq!(taken(&mut queues, 9), (2, 0, vec![0]));
        assert!(matches!(queues.next(9), Next::Nothing));
    }
}
