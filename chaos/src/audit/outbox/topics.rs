//! Topics against outboxes.
//!
//! A relay publishes in the order of the positions, and again from the first event that it has not seen acknowledged when it
//! was killed, cut off or replaced. So an event may be there twice, byte for byte the same; its first arrival is always in
//! order. Where no relay was harmed, and the same one has published from the first event to the last, it is there once.

use std::collections::HashMap;

use uuid::Uuid;
use viscount_contracts::Topic;

use crate::audit::{
    dataset::{Dataset, Event, Log, Record, digest},
    verdict::{Findings, Promise, Terms, wrong},
};

pub(super) fn check(data: &Dataset, terms: &Terms, found: &mut Findings) {
    for shape in &data.topics {
        let log = data.logs.iter().find(|log| log.service == shape.topic);
        let records = data.records.iter().filter(|record| record.topic == shape.topic && !record.injected);
        one(data, shape.topic, shape.partitions, log, records, terms, found);
    }
    for record in
        data.records.iter().filter(|record| !data.topics.iter().any(|shape| shape.topic == record.topic))
    {
        found.add(Promise::I4, wrong(format!("{} is on a topic that is not there", place(record))));
    }
}

fn one<'a>(
    data: &'a Dataset,
    topic: Topic,
    partitions: i32,
    log: Option<&Log>,
    records: impl Iterator<Item = &'a Record>,
    terms: &Terms,
    found: &mut Findings,
) {
    let events: HashMap<Uuid, (usize, &Event)> = data
        .events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.service == topic)
        .map(|(at, event)| (event.id, (at, event)))
        .collect();
    let (head, later) = log.map_or((0, 0), |log| (log.head, log.head_after));
    // Whoever begins to publish after somebody else does so again from what that one knew to be acknowledged.
    let changed_hands = log.and_then(|log| log.epoch).is_some_and(|epoch| epoch > 1);
    let mut arrived: HashMap<Uuid, &Record> = HashMap::with_capacity(events.len());
    let mut last: HashMap<i32, i64> = HashMap::new();
    for record in records {
        let Some(id) = record.id else {
            found.add(Promise::I4, wrong(format!("{} is no event of ours", place(record))));
            continue;
        };
        let Some((at, event)) = events.get(&id) else {
            // Committed between the look at the database and the look at the topic.
            if !record.position.is_some_and(|position| (head + 1..=later).contains(&position)) {
                let what = format!("{} is event {id}, which is not in the outbox", place(record));
                found.add(Promise::I4, wrong(what).maybe_order(record.subject));
            }
            continue;
        };
        if let Some(what) = differs(record, event, partitions) {
            let finding = wrong(format!("{} {what}", place(record))).events([*at]);
            found.add(Promise::I4, finding.order(event.stream));
        }
        if let Some(first) = arrived.get(&id) {
            if !terms.doubles && !changed_hands {
                let what = format!("{} is there once more: {}", place(first), place(record));
                found.add(Promise::I4, wrong(what).order(event.stream).events([*at]));
            }
            continue;
        }
        arrived.insert(id, record);
        let last = last.entry(record.partition).or_default();
        if event.position <= *last {
            let what = format!("{} came after position {last}", place(record));
            found.add(Promise::I4, wrong(what).order(event.stream).events([*at]));
        }
        *last = event.position.max(*last);
    }
    for (id, (at, event)) in &events {
        if !arrived.contains_key(id) {
            let what = format!("event {id} of {} is not on {topic}", topic.service());
            found.add(Promise::I4, wrong(what).order(event.stream).events([*at]));
        }
    }
}

/// What is not as the event in the outbox has it.
fn differs(record: &Record, event: &Event, partitions: i32) -> Option<String> {
    let key = event.stream.to_string();
    if record.key.as_deref() != Some(key.as_str()) {
        return Some(format!("has the key {:?}, its event {key}", record.key.as_deref().unwrap_or_default()));
    }
    let partition = placed(key.as_bytes(), partitions);
    if record.partition != partition {
        return Some(format!("belongs on partition {partition}"));
    }
    let told = (record.subject, record.position, record.version, &record.kind, record.digest);
    let kept =
        (Some(event.stream), Some(event.position), Some(event.version), &event.kind, digest(&event.data));
    (told != kept).then(|| {
        format!(
            "says position {:?}, v{} {}, its event position {}, v{} {}{}",
            record.position,
            record.version.unwrap_or_default(),
            record.kind,
            event.position,
            event.version,
            event.kind,
            if told.4 == kept.4 { "" } else { ", and the message is another" }
        )
    })
}

fn place(record: &Record) -> String {
    format!("{} partition {} offset {}", record.topic, record.partition, record.offset)
}

/// The partition of a key, as Java's clients place it: murmur2 with their seed, its sign cut off, modulo the partitions.
fn placed(key: &[u8], partitions: i32) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c_u32 ^ length;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0_u32, |k, byte| (k << 8) | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0_u32, |k, byte| (k << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    i32::try_from(hash & 0x7fff_ffff).map_or(0, |hash| hash.checked_rem(partitions).unwrap_or(0))
}
