//! From what was seen to a phase of the report.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::model::{Component, Generator, Operation, Orders, Phase, Requests, Second, Streams};
use crate::measure::{
    components::GENERATOR,
    finals::Finals,
    histogram::{Quantiles, encode, histogram},
    recorder::{self, Recorder},
    usage::Usage,
};

/// A generator whose thread is this busy is in its own way.
const BUSY: f64 = 0.9;
/// So is one that starts one arrival of a hundred so late.
const LATE_MS: f64 = 10.0;
/// On a quiet machine others use less than this of a core.
const QUIET: f64 = 0.1;
/// Problems that are an answer like any other: it is too late to cancel, or there is nothing to return.
const EXPECTED: [&str; 1] = ["/problems/order-state"];

/// All that is known of a phase.
pub struct Seen<'a> {
    /// Its name in the profile.
    pub name: &'a str,
    /// The load in words.
    pub load: String,
    /// What the load saw.
    pub recorder: &'a Recorder,
    /// What became of its orders; nothing when they were not followed.
    pub finals: Option<&'a Finals>,
    /// What the processes used, when it is known.
    pub usage: Option<&'a Usage>,
    /// Completed orders per second at the run's peak, when there is one.
    pub peak: Option<f64>,
}

/// The phase, not judged yet.
pub fn phase(seen: &Seen<'_>) -> Phase {
    let Seen { name, recorder, .. } = *seen;
    let seconds = recorder.measured().as_secs_f64();
    let orders = orders(seen);
    let mut phase = Phase {
        name: name.to_owned(),
        load: seen.load.clone(),
        seconds: recorder.lasted().as_secs_f64(),
        warm_up_seconds: recorder.warm_up().as_secs_f64(),
        operations: operations(recorder, seconds),
        requests: requests(recorder, seconds),
        streams: streams(recorder),
        users: Some(recorder.most_users() as u64).filter(|users| *users > 0),
        generator: Generator { late_ms: recorder.lateness(), ..Generator::default() },
        series: series(seen),
        orders,
        ..Phase::default()
    };
    if let (Some(usage), Some((began, _))) = (seen.usage, recorder.began()) {
        components(&mut phase, usage, began + recorder.warm_up(), began + recorder.lasted());
    }
    phase.generator.bound = is_busy(&phase.generator) || phase.generator.late_ms.p99 > LATE_MS;
    phase.notes = notes(&phase, seen);
    phase
}

fn operations(recorder: &Recorder, seconds: f64) -> BTreeMap<String, Operation> {
    let operation = |seen: &recorder::Operation| Operation {
        count: seen.count,
        good: seen.good,
        refused: seen.refused,
        refused_without_time: seen.refused_without_time,
        statuses: seen.statuses.clone(),
        problems: seen.problems.clone(),
        broken: seen.broken.clone(),
        per_second: rate(seen.good_measured, seconds),
        latency_ms: Quantiles::of(&seen.latency),
        service_ms: Quantiles::of(&seen.service),
        refusal_ms: (seen.refused > 0).then(|| Quantiles::of(&seen.refusal)),
        failure_ms: (!seen.failure.is_empty()).then(|| Quantiles::of(&seen.failure)),
        histogram: encode(&seen.latency),
    };
    recorder.operations().iter().map(|(name, seen)| ((*name).to_owned(), operation(seen))).collect()
}

fn requests(recorder: &Recorder, seconds: f64) -> Requests {
    let (mut all, mut latency, mut refusal) = (Requests::default(), histogram(), histogram());
    for (_, seen) in recorder.operations().iter() {
        all.count += seen.count;
        all.good += seen.good;
        all.good_measured += seen.good_measured;
        all.refused += seen.refused;
        all.refused_without_time += seen.refused_without_time;
        let failed = seen.count - seen.good - seen.refused;
        let expected: u64 = EXPECTED.iter().filter_map(|kind| seen.problems.get(*kind)).sum();
        all.failed += failed;
        all.unexpected += failed.saturating_sub(expected);
        // All have the same bounds.
        let _ = latency.add(&seen.latency);
        let _ = refusal.add(&seen.refusal);
    }
    all.unexpected_share = all.unexpected as f64 / all.count.max(1) as f64;
    all.per_second = rate(all.good_measured, seconds);
    all.latency_ms = Quantiles::of(&latency);
    all.refusal_ms = Quantiles::of(&refusal);
    all.histogram = encode(&latency);
    all
}

fn orders(seen: &Seen<'_>) -> Orders {
    let recorder = seen.recorder;
    let (warm_up, lasted) = (recorder.warm_up().as_secs_f64(), recorder.lasted().as_secs_f64());
    let mut orders = Orders {
        accepted: recorder.orders().len() as u64,
        per_second_accepted: rate(recorder.accepted_measured(), lasted - warm_up),
        ..Orders::default()
    };
    let Some(finals) = seen.finals else { return orders };
    let status = |name: &str| finals.statuses.get(name).copied().unwrap_or_default();
    let completed = within(&finals.completed, warm_up, lasted);
    orders.statuses = finals.statuses.clone();
    orders.completed = finals.orders_completed();
    orders.rejected = status("rejected");
    orders.cancelled = status("cancelled");
    orders.lost = finals.lost;
    orders.late = finals.late;
    orders.not_final = finals.not_final;
    orders.unseen = finals.unseen;
    orders.repeated = finals.repeated;
    orders.unknown = finals.unknown;
    orders.named = finals.named.iter().map(ToString::to_string).collect();
    orders.completed_measured = completed.round() as u64;
    orders.per_second_completed = completed / (lasted - warm_up).max(1e-9);
    orders.of_peak = seen.peak.map(|peak| orders.per_second_completed / peak.max(1e-9));
    orders.timed = finals.created_to_completed.len();
    orders.created_to_final_ms = Quantiles::of(&finals.created_to_completed);
    orders.histogram = encode(&finals.created_to_completed);
    orders
}

/// What happened in this stretch of time; of a second that is only partly in it, that part.
fn within(by_second: &[u64], from: f64, to: f64) -> f64 {
    let part = |second: usize| ((second as f64 + 1.0).min(to) - (second as f64).max(from)).clamp(0.0, 1.0);
    let seconds = by_second.iter().enumerate();
    seconds.fold(0.0, |sum, (second, count)| sum + *count as f64 * part(second))
}

fn streams(recorder: &Recorder) -> Option<Streams> {
    let streams = recorder.streams();
    (streams.most > 0 || !streams.delivery.is_empty()).then(|| Streams {
        most: streams.most as u64,
        at_end: streams.open as u64,
        messages: streams.delivery.len(),
        delivery_ms: Quantiles::of(&streams.delivery),
        histogram: encode(&streams.delivery),
    })
}

fn series(seen: &Seen<'_>) -> Vec<Second> {
    let recorder = seen.recorder;
    let Some((began, _)) = recorder.began() else { return Vec::new() };
    let completed = seen.finals.map_or(&[][..], |finals| &finals.completed);
    let mut seconds = recorder.seconds();
    // The time after the load is shown as long as something happens in it, and orders were completed in it.
    let shown = seconds.len().max(completed.len()).min(recorder.lasted().as_secs() as usize + 60);
    seconds.resize(shown.max(seconds.len()), recorder::Second::default());
    let at = |second: usize| began + Duration::from_secs(second as u64);
    let second = |(number, seen_then): (usize, recorder::Second)| {
        let (mut cpu, mut memory) = (BTreeMap::new(), BTreeMap::new());
        if let Some(usage) = seen.usage {
            for (component, name) in usage.names().iter().enumerate() {
                cpu.insert(name.clone(), thousandths(usage.cpu(component, at(number), at(number + 1))));
                let mib = usage.memory(component, at(number + 1));
                memory.extend(mib.map(|mib| (name.clone(), (mib * 10.0).round() / 10.0)));
            }
        }
        Second {
            second: number as u64,
            started: seen_then.started,
            good: seen_then.good,
            refused: seen_then.refused,
            failed: seen_then.failed,
            p50_ms: seen_then.p50_ms,
            p99_ms: seen_then.p99_ms,
            completed: completed.get(number).copied().unwrap_or_default(),
            cpu,
            memory,
            open_streams: seen_then.open_streams,
            users: seen_then.users,
        }
    };
    seconds.into_iter().enumerate().map(second).collect()
}

fn components(phase: &mut Phase, usage: &Usage, from: Instant, to: Instant) {
    let seconds = to.saturating_duration_since(from).as_secs_f64().max(1e-9);
    let per = |cpu: f64, count: u64| (count > 0).then(|| (cpu * 1e7 / count as f64).round() / 10.0);
    let (orders, requests) = (phase.orders.completed_measured, phase.requests.good_measured);
    let with = |component: Component| Component {
        cores: thousandths(component.cpu_seconds / seconds),
        cpu_us_per_order: per(component.cpu_seconds, orders),
        cpu_us_per_request: per(component.cpu_seconds, requests),
        cpu_seconds: thousandths(component.cpu_seconds),
        ..component
    };
    let mut platform = Component::default();
    for (number, name) in usage.names().iter().enumerate() {
        let component = Component {
            cpu_seconds: usage.cpu(number, from, to),
            memory_mib_begin: usage.memory(number, from),
            memory_mib_max: usage.most_memory(number, from, to),
            memory_mib_end: usage.memory(number, to),
            ..Component::default()
        };
        if name != GENERATOR {
            platform.cpu_seconds += component.cpu_seconds;
            platform.memory_mib_begin = sum(platform.memory_mib_begin, component.memory_mib_begin);
            platform.memory_mib_max = sum(platform.memory_mib_max, component.memory_mib_max);
            platform.memory_mib_end = sum(platform.memory_mib_end, component.memory_mib_end);
        }
        phase.components.insert(name.clone(), with(component));
    }
    phase.platform = with(platform);
    phase.generator.busy = thousandths(usage.busy(from, to));
    phase.other_cores = thousandths(usage.others(from, to));
    phase.stolen_cores = thousandths(usage.stolen(from, to));
}

fn notes(phase: &Phase, seen: &Seen<'_>) -> Vec<String> {
    let mut notes: Vec<String> = seen.finals.map(|finals| finals.notes.clone()).unwrap_or_default();
    if is_busy(&phase.generator) {
        notes.push(format!(
            "the generator's thread was busy {:.0} % of the time: the platform may be able to do more than this shows",
            phase.generator.busy * 100.0
        ));
    }
    if phase.generator.late_ms.p99 > LATE_MS {
        notes.push(format!(
            "the generator started one arrival of a hundred {:.0} ms late or more: that wait is in the latencies, and it is \
             the generator's or its machine's",
            phase.generator.late_ms.p99
        ));
    }
    if phase.other_cores > QUIET {
        notes.push(format!(
            "other processes of this machine used {:.2} cores meanwhile: on a quiet machine the figures are better",
            phase.other_cores
        ));
    }
    if phase.stolen_cores > QUIET {
        notes.push(format!(
            "{:.2} cores were stolen by the hypervisor meanwhile: this machine wanted them, and others got them",
            phase.stolen_cores
        ));
    }
    if phase.requests.refused_without_time > 0 {
        notes
            .push(format!("{} refusals did not say when to come again", phase.requests.refused_without_time));
    }
    if phase.orders.rejected > 0 {
        notes.push(format!(
            "{} orders were rejected: with an administrator's token goods are received before the load",
            phase.orders.rejected
        ));
    }
    notes
}

/// Whether its thread was in its own way.
pub fn is_busy(generator: &Generator) -> bool {
    generator.busy > BUSY
}

fn sum(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

fn rate(count: u64, seconds: f64) -> f64 {
    thousandths(count as f64 / seconds.max(1e-9))
}

fn thousandths(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;
    use crate::measure::recorder::Outcome;

    #[test]
    fn seconds_count_as_far_as_they_are_in_the_window() {
        let whole = within(&[10, 10, 10, 10], 1.0, 3.0);
        let part = within(&[10, 10, 10, 10], 0.5, 3.25);
        assert!(within(&[], 0.0, 9.0).is_sign_positive());
        assert!((whole - 20.0).abs() < 1e-9 && (part - 27.5).abs() < 1e-9, "{whole} {part}");
    }

    #[test]
    fn a_phase_adds_up() {
        let recorder = Recorder::new(Duration::ZERO);
        recorder.begin();
        let now = Instant::now();
        recorder.request("order", now, now, Outcome::Good(201));
        recorder.accepted(Uuid::from_u128(1).into(), 0, now);
        for kind in ["/problems/order-state", "/problems/surprise"] {
            recorder.request("cancel", now, now, Outcome::Problem { status: 409, kind, retry_after: None });
        }
        recorder.request(
            "order",
            now,
            now,
            Outcome::Problem { status: 503, kind: "/problems/busy", retry_after: None },
        );
        recorder.end();
        let seen = Seen {
            name: "p",
            load: String::new(),
            recorder: &recorder,
            finals: None,
            usage: None,
            peak: None,
        };
        let phase = phase(&seen);
        let requests = &phase.requests;
        assert_eq!(
            (requests.count, requests.good, requests.refused, requests.failed, requests.unexpected),
            (4, 1, 1, 2, 1)
        );
        assert_eq!((phase.orders.accepted, phase.operations.len(), phase.series.len()), (1, 2, 1));
        assert!(phase.notes[0].contains("when to come again"));
    }
}
