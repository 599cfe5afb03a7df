//! The newest events of one topic in memory, contiguous and bounded: who keeps up never asks the database.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use viscount_contracts::Envelope;

/// Bounds of the memory that one topic takes, however slow its readers are.
const MAX_EVENTS: usize = 32_768;
const MAX_BYTES: usize = 16 << 20;
/// Batches that came before their predecessors: two committers, one log.
const MAX_EARLY: usize = 64;

/// Contiguous newest events, and batches that wait for a gap before them to close.
#[derive(Default)]
pub(super) struct Ring {
    /// Position of the newest event that is known together with all before it.
    head: i64,
    events: VecDeque<Arc<Envelope>>,
    bytes: usize,
    early: BTreeMap<i64, Vec<Arc<Envelope>>>,
}

/// Where a reader finds what comes behind its place.
pub(super) enum Found {
    /// Here it is.
    Events(Vec<Arc<Envelope>>),
    /// In the database; memory does not go back that far.
    Stored,
    /// Nowhere yet.
    Nothing,
}

impl Ring {
    pub(super) fn head(&self) -> i64 {
        self.head
    }

    /// True when a batch waits for one before it.
    pub(super) fn has_gap(&self) -> bool {
        !self.early.is_empty()
    }

    /// Says that the database has events up to `head`: memory begins behind them.
    pub(super) fn begin_behind(&mut self, head: i64) {
        if head > self.head {
            self.events.clear();
            self.bytes = 0;
            self.head = head;
            self.take_early();
        }
    }

    /// Adds a batch with contiguous positions. Positions that are known already are left out.
    pub(super) fn push(&mut self, batch: Vec<Arc<Envelope>>) {
        let Some(first) = batch.first().map(|event| event.position) else { return };
        if first > self.head + 1 {
            if self.early.len() < MAX_EARLY {
                self.early.insert(first, batch);
            }
            return;
        }
        self.append(batch);
        self.take_early();
    }

    pub(super) fn behind(&self, after: i64, max: usize) -> Found {
        if after >= self.head {
            return Found::Nothing;
        }
        let Some(first) = self.events.front().map(|event| event.position) else { return Found::Stored };
        match usize::try_from(after + 1 - first) {
            Ok(skip) => Found::Events(self.events.iter().skip(skip).take(max).cloned().collect()),
            Err(_) => Found::Stored,
        }
    }

    fn append(&mut self, batch: Vec<Arc<Envelope>>) {
        for event in batch {
            if event.position <= self.head {
                continue;
            }
            self.head = event.position;
            self.bytes += weight(&event);
            self.events.push_back(event);
            while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
                let Some(oldest) = self.events.pop_front() else { break };
                self.bytes -= weight(&oldest);
            }
        }
    }

    fn take_early(&mut self) {
        while let Some((&first, _)) = self.early.first_key_value() {
            if first > self.head + 1 {
                break;
            }
            if let Some((_, batch)) = self.early.pop_first() {
                self.append(batch);
            }
        }
    }
}

fn weight(event: &Envelope) -> usize {
    size_of::<Envelope>() + event.data.len()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;
    use viscount_contracts::{EventId, Topic};

    use super::*;

    fn event(position: i64, size: usize) -> Arc<Envelope> {
        Arc::new(Envelope {
            id: EventId::new(),
            topic: Topic::Orders,
            position,
            key: Uuid::nil(),
            version: 1,
            kind: Cow::Borrowed("OrderCreated"),
            occurred_at: Timestamp::UNIX_EPOCH,
            traceparent: None,
            data: vec![0; size].into(),
        })
    }

    fn positions(found: Found) -> Vec<i64> {
        match found {
            Found::Events(events) => events.iter().map(|event| event.position).collect(),
            Found::Stored | Found::Nothing => Vec::new(),
        }
    }

    #[test]
    fn memory_is_bounded_by_bytes_and_the_rest_is_in_the_store() {
        let mut ring = Ring::default();
        for position in 1..=40 {
            ring.push(vec![event(position, 1 << 20)]);
        }
        assert!(ring.bytes <= MAX_BYTES);
        assert_eq!(ring.head(), 40);
        assert!(matches!(ring.behind(0, 10), Found::Stored));
        assert_eq!(positions(ring.behind(38, 10)), [39, 40]);
        assert!(matches!(ring.behind(40, 10), Found::Nothing));
    }

    #[test]
    fn nothing_is_seen_behind_an_open_gap() {
        let mut ring = Ring::default();
        ring.push(vec![event(1, 0)]);
        ring.push(vec![event(4, 0), event(5, 0)]);
        assert_eq!(positions(ring.behind(0, 10)), [1]);
        assert!(ring.has_gap());
        ring.push(vec![event(2, 0), event(3, 0)]);
        assert_eq!(positions(ring.behind(0, 10)), [1, 2, 3, 4, 5]);
        assert!(!ring.has_gap());
    }

    proptest! {
        /// Whatever order batches come in and however often, a reader that follows sees 1, 2, 3, …
        #[test]
        fn a_reader_sees_each_position_once_and_in_order(
            sizes in prop::collection::vec(1usize..5, 1..20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let mut batches = Vec::new();
            let mut next = 1;
            for size in sizes {
                batches.push((next..next + size as i64).map(|position| event(position, 0)).collect::<Vec<_>>());
                next += size as i64;
            }
            let mut ring = Ring::default();
            let mut seen = Vec::new();
            let mut read = |ring: &Ring| {
                let after = seen.last().copied().unwrap_or(0);
                seen.extend(positions(ring.behind(after, 3)));
            };
            for index in order {
                ring.push(index.get(&batches).clone());
                read(&ring);
            }
            for batch in batches {
                ring.push(batch);
                read(&ring);
            }
            while ring.head() > seen.last().copied().unwrap_or(0) {
                let after = seen.last().copied().unwrap_or(0);
                seen.extend(positions(ring.behind(after, 3)));
            }
            prop_assert_eq!(seen, (1..next).collect::<Vec<_>>());
        }
    }
}
