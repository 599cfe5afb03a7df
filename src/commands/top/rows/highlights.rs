//! What an operator should look at first, the worst first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{lag, services};
use crate::commands::top::{figures::Sums, format, model::Model, panes::Tone};

/// Restarts of one actor in a minute from which on they are a storm.
const STORM: f64 = 5.0;
/// A breaker's value in the metrics when it is open.
const OPEN: f64 = 2.0;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Highlight {
    /// `bad` or `warning`.
    #[serde(serialize_with = "severity")]
    pub tone: Tone,
    /// What it is.
    pub text: String,
}

fn severity<S: serde::Serializer>(tone: &Tone, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if *tone == Tone::Bad { "bad" } else { "warning" })
}

/// All of them.
pub fn highlights(model: &Model) -> Vec<Highlight> {
    let mut found = Vec::new();
    let mut add = |tone, text| found.push(Highlight { tone, text });
    let platform = &model.platform;
    if let Some(error) = &platform.readiness.error {
        add(Tone::Bad, format::clean(&error.to_string()));
    }
    for service in services::services(model) {
        match (service.state.as_str(), &service.error) {
            ("unavailable" | "draining", _) => {
                add(Tone::Bad, format!("{} is {}", service.service, service.state))
            }
            ("degraded", _) if service.service != "gateway" => {
                add(Tone::Warning, format!("{} is degraded", service.service));
            }
            (_, Some(error)) if platform.readiness.error.is_none() => {
                add(Tone::Warning, format!("{}: {}", service.service, format::clean(error)));
            }
            _ => {}
        }
        for one in service.instances.iter().filter(|one| one.health == "unhealthy") {
            add(Tone::Bad, format::clean(&format!("{} at {} is unhealthy", service.service, one.address)));
        }
    }
    let sums = platform.sums();
    actors(&sums, &mut add);
    for (labels, state) in sums.largest("resilience_breaker_state", &["name"]) {
        if state >= OPEN {
            add(Tone::Bad, format!("breaker open: {}", labels.concat()));
        }
    }
    let stuck = sums.orders().stuck.unwrap_or_default();
    if stuck > 0.0 {
        add(Tone::Bad, format!("{} orders wait for too long", format::grouped(stuck)));
    }
    for (name, what) in
        [("consumer_dead_letters_open", "dead letters"), ("consumer_parked_keys", "parked keys")]
    {
        let open: f64 = sums.largest(name, &["service", "consumer", "topic"]).values().sum();
        if open > 0.0 {
            add(Tone::Bad, format!("{} {what}", format::grouped(open)));
        }
    }
    for row in lag::rows(model) {
        let tone = row.line().tone;
        if tone >= Tone::Warning {
            let by = row.seconds.map(format::age).unwrap_or_default();
            add(tone, format!("{} is {by} behind at {}", row.group, row.topic));
        }
    }
    found.sort_by_key(|highlight| std::cmp::Reverse(highlight.tone));
    found
}

/// Falls of the last minute, and what is left before more of them end in an escalation.
fn actors(sums: &Sums<'_>, add: &mut impl FnMut(Tone, String)) {
    for (actor, fell) in minute(sums, "actor_escalations_total", &["service", "actor"]) {
        add(Tone::Bad, format!("escalation: {actor} gave up {} times in a minute", format::grouped(fell)));
    }
    for (actor, fell) in minute(sums, "actor_restarts_total", &["service", "actor", "reason"]) {
        let tone = if fell >= STORM { Tone::Bad } else { Tone::Warning };
        add(tone, format!("restarts in the last minute: {actor} {}", format::grouped(fell)));
    }
    for (actor, found) in minute(sums, "actor_stuck_total", &["service", "actor", "reason"]) {
        add(Tone::Warning, format!("without progress: {actor} {} times in a minute", format::grouped(found)));
    }
    let rejected: Vec<_> = sums.0.iter().flat_map(|it| it.rates("actor_mailbox_rejected_total")).collect();
    for (sample, rate) in rejected.into_iter().filter(|(_, rate)| *rate > 0.0) {
        let of = format!("{}/{}", sample.label("service"), sample.label("actor"));
        add(Tone::Warning, format!("{of} refuses {} messages/s", format::number(rate)));
    }
    for (labels, apart) in sums.largest("actor_quarantined", &["service", "kind"]) {
        if apart > 0.0 {
            add(Tone::Bad, format!("quarantined: {} {}", labels.join("/"), format::grouped(apart)));
        }
    }
    for sample in sums.series("actor_restart_budget_remaining").filter(|sample| sample.value <= 1.0) {
        let of = format!("{}/{}", sample.label("service"), sample.label("actor"));
        let tone = if sample.value <= 0.0 { Tone::Bad } else { Tone::Warning };
        add(tone, format!("restarts left: {of} {}", format::grouped(sample.value)));
    }
    let injected = sums.rate("faults_injected_total", |_| true);
    if injected > 0.0 {
        add(Tone::Warning, format!("faults are being injected: {}/s", format::number(injected)));
    }
}

/// By how much each has grown in a minute, where it has; the labels behind the first two in parentheses.
fn minute(sums: &Sums<'_>, name: &str, labels: &[&str]) -> Vec<(String, f64)> {
    let mut found: BTreeMap<Vec<&str>, f64> = BTreeMap::new();
    for process in &sums.0 {
        for (sample, by) in process.of_the_minute(name) {
            let of = labels.iter().map(|label| sample.label(label)).collect();
            *found.entry(of).or_default() += by;
        }
    }
    let named = |(of, by): (Vec<&str>, f64)| match of.as_slice() {
        [service, actor, reason] => (format!("{service}/{actor} ({reason})"), by),
        of => (of.join("/"), by),
    };
    let mut grown: Vec<_> = found.into_iter().filter(|(_, by)| *by >= 1.0).map(named).collect();
    grown.sort_by(|a, b| b.1.total_cmp(&a.1));
    grown
}
