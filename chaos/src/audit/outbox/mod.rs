//! I4: what a service has committed is on its topic, each event by its id, and nothing else is; and what was told has had its
//! effect where it was to have one.

mod effects;
mod topics;

use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use viscount_contracts::Topic;

use super::{
    dataset::{BUSINESS, Dataset, Log, READS},
    facts::Facts,
    verdict::{Findings, Promise, Terms, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, terms: &Terms, found: &mut Findings) {
    positions(data, found);
    at_rest(data, found);
    acknowledged(data, found);
    topics::check(data, terms, found);
    handled(data, found);
    letters(data, terms, found);
    effects::check(data, facts, found);
}

/// Each log counts 1, 2, 3, … to its head.
fn positions(data: &Dataset, found: &mut Findings) {
    for log in &data.logs {
        let service = log.service.service();
        let mut events: Vec<(i64, usize)> = data
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| event.service == log.service)
            .map(|(at, event)| (event.position, at))
            .collect();
        events.sort_unstable();
        let mut last = 0;
        for (position, at) in &events {
            let finding = match position - last {
                1 => None,
                0 => Some(wrong(format!("{service} has two events at position {position}"))),
                2 => Some(wrong(format!("{service} has no event at position {}", last + 1))),
                _ => Some(wrong(format!(
                    "{service} has no events at positions {} to {}",
                    last + 1,
                    position - 1
                ))),
            };
            if let Some(finding) = finding {
                found.add(Promise::I4, finding.events([*at]));
            }
            last = *position;
        }
        if last != log.head {
            let what = format!("the log of {service} ends at {last}, and its head says {}", log.head);
            found.add(Promise::I4, wrong(what));
        }
    }
}

/// Nothing was committed while everything was read: what is found then need not be so.
fn at_rest(data: &Dataset, found: &mut Findings) {
    for log in data.logs.iter().filter(|log| BUSINESS.contains(&log.service) && log.moved()) {
        let what = format!(
            "{} went on committing while everything was read: its log ended at {}, then {}, then {}",
            log.service.service(),
            log.head_before.unwrap_or(log.head),
            log.head,
            log.head_after
        );
        found.add(Promise::I4, wrong(what));
    }
}

/// Where there are brokers, they have acknowledged all that the business has committed.
fn acknowledged(data: &Dataset, found: &mut Findings) {
    let on_brokers = |log: &&Log| data.topics.iter().any(|shape| shape.topic == log.service);
    for log in data.logs.iter().filter(|log| BUSINESS.contains(&log.service)).filter(on_brokers) {
        if log.relayed != log.head {
            let what = format!(
                "{} believes that the brokers have acknowledged {} of {} events",
                log.service.service(),
                log.relayed,
                log.head
            );
            found.add(Promise::I4, wrong(what));
        }
    }
}

/// What a service has handled, somebody has told it.
fn handled(data: &Dataset, found: &mut Findings) {
    let known: HashMap<Uuid, (Topic, usize)> =
        data.events.iter().enumerate().map(|(at, event)| (event.id, (event.service, at))).collect();
    // What an experiment told them itself.
    let injected: HashSet<Uuid> =
        data.records.iter().filter(|record| record.injected).filter_map(|record| record.id).collect();
    let mut seen = HashSet::with_capacity(data.handled.len());
    for row in &data.handled {
        let service = row.service.service();
        let finding = match known.get(&row.event) {
            None if injected.contains(&row.event) => continue,
            None => wrong(format!("{service} has handled event {}, which nobody has committed", row.event)),
            Some((source, at)) if !READS.contains(&(row.service, *source)) => {
                wrong(format!("{service} has handled an event of {source}, which it does not read"))
                    .events([*at])
            }
            Some((_, at)) if !seen.insert((row.service, row.event)) => {
                wrong(format!("{service} has handled event {} twice", row.event)).events([*at])
            }
            Some(_) => continue,
        };
        found.add(Promise::I4, finding);
    }
}

/// What nobody could handle has had no effect. An experiment may have put in what nobody can handle; the platform's own
/// events are not among that.
fn letters(data: &Dataset, terms: &Terms, found: &mut Findings) {
    let ours: HashSet<Uuid> = data.events.iter().map(|event| event.id).collect();
    for letter in data.letters.iter().filter(|letter| !terms.letters || ours.contains(&letter.id)) {
        let what = format!(
            "{} of {} could not be handled by {} ({}): {}",
            letter.id,
            letter.topic,
            letter.service.service(),
            letter.state,
            letter.error
        );
        found.add(Promise::I4, wrong(what).maybe_order(letter.key));
    }
}
