//! What can be meant.

use std::time::Duration;

use viscount_contracts::Topic;

use super::{Experiment, ExperimentError, Poison, What};
use crate::platform::{Engine, SERVICES};

/// The longest run.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);
/// How long a group waits for a silent member unless `KAFKA_SESSION_TIMEOUT_MS` says otherwise.
const SESSION: Duration = Duration::from_secs(6);
/// Faults on demand that there are.
const ON_DEMAND: [&str; 6] =
    ["panic", "slow", "stuck", "provider_down", "provider_slow", "drop_database_connections"];

/// Refuses what cannot be meant. The last question is whether the schedule fits.
pub(super) fn check(experiment: &Experiment) -> Result<(), ExperimentError> {
    let bad = |place: &str, problem: &str| Err(experiment.error(place, problem));
    let is_name = (1..=40).contains(&experiment.name.len())
        && experiment.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_name {
        return bad("name", "is not 1 to 40 lower case letters, digits and dashes");
    }
    if experiment.about.is_empty() {
        return bad("about", "says nothing");
    }
    if experiment.length.is_zero() || experiment.length > LONGEST {
        return bad("seconds", "lies between 1 and 21600");
    }
    if experiment.settle.is_zero() || experiment.settle > LONGEST {
        return bad("settle", "lies between 1 and 21600");
    }
    if let Some(quick) = &experiment.quick {
        if quick.length.is_zero() || quick.length > experiment.length {
            return bad("quick", "`seconds` lies between 1 and those of the whole");
        }
        if quick.repeat == Some(0) {
            return bad("quick", "`repeat` is at least 1");
        }
    }
    platform(experiment)?;
    for number in 0..experiment.faults.len() {
        fault(experiment, number).map_err(|problem| experiment.fault_error(number, problem))?;
    }
    // Chance decides only who is met and when within `every`; a few seeds show whether there is room.
    (0..4).try_for_each(|seed| experiment.schedule(seed).map(drop))?;
    match &experiment.quick {
        Some(quick) => quick
            .scale(experiment)
            .and_then(|scaled| check(&scaled))
            .map_err(|error| ExperimentError { place: format!("{} (quick)", error.place), ..error }),
        None => Ok(()),
    }
}

fn platform(experiment: &Experiment) -> Result<(), ExperimentError> {
    let bad = |problem: String| Err(experiment.error("[platform]", problem));
    let table = &experiment.platform;
    if table.engine == Engine::Embedded && !table.replicas.is_empty() {
        return bad("`replicas`: the embedded engine has one process".to_owned());
    }
    if table.volume.is_some_and(|volume| !(64..=65_536).contains(&volume)) {
        return bad("`volume` lies between 64 and 65536 MiB".to_owned());
    }
    experiment.plan("").check().or_else(|error| bad(error.to_string()))
}

fn fault(experiment: &Experiment, number: usize) -> Result<(), String> {
    let fault = &experiment.faults[number];
    let bad = |problem: &str| Err(problem.to_owned());
    if !(0.0..=1.0).contains(&fault.jitter) {
        return bad("`jitter` lies between 0 and 1");
    }
    if fault.times == Some(0) {
        return bad("`times` is at least 1");
    }
    if fault.every.is_some_and(|every| every < Duration::from_millis(10)) {
        return bad("`every` is at least 10ms");
    }
    if fault.times.unwrap_or(1) > 1 && fault.every.is_none() {
        return bad("`every` is missing: how far apart are its times?");
    }
    if fault.jitter > 0.0 && fault.every.is_none() {
        return bad("`jitter` is a share of `every`, which is missing");
    }
    if fault.at + fault.lasts > experiment.length {
        return bad("it would end after the run: `at` and its length do not fit into `seconds`");
    }
    if fault.what.members().is_some_and(<[String]>::is_empty) {
        return bad("it names nobody");
    }
    let broker_only =
        matches!(fault.what, What::RepeatEvents { .. } | What::Poison { .. } | What::Rebalance(_));
    if broker_only && experiment.platform.engine == Engine::Embedded {
        return bad("it needs brokers: the embedded engine has none");
    }
    let mut members = Vec::new();
    for name in fault.what.members().unwrap_or_default() {
        members.extend(experiment.resolve(name)?);
    }
    match &fault.what {
        What::Failpoint { points, passes, .. } => {
            if !experiment.platform.failpoints {
                return bad("`failpoints = true` is missing in [platform]");
            }
            if points.is_empty() || !points.iter().all(|point| is_point(point)) {
                return bad("`points` are names such as store.after-commit");
            }
            if *passes > 1_000_000 {
                return bad("`passes` is at most 1000000");
            }
            if let Some(part) = members.iter().find(|part| !is_ours(part)) {
                return Err(format!("{part} has no failpoints"));
            }
        }
        What::Weather { weather, .. } => {
            if let Some(problem) = weather.unsound() {
                return bad(problem);
            }
        }
        What::DiskFull(_) => {
            if let Some(part) =
                members.iter().find(|part| *part != "postgres" && !part.starts_with("broker-"))
            {
                return Err(format!("{part} has no disk of its own: postgres and brokers have"));
            }
        }
        What::Clock { shift, .. } => {
            if *shift == 0 || shift.unsigned_abs() > 86_400 {
                return bad("`shift` is at most a day, and not 0");
            }
        }
        What::RepeatEvents { topics, copies } => {
            if !(1..=100).contains(copies) {
                return bad("`copies` lies between 1 and 100");
            }
            topics.iter().try_for_each(|topic| is_topic(topic))?;
            if topics.is_empty() {
                return bad("`topics` names none");
            }
        }
        What::Poison { topic, kind, count } => {
            is_topic(topic)?;
            if !(1..=1_000).contains(count) {
                return bad("`count` lies between 1 and 1000");
            }
            let topics: &[&str] = match kind {
                Poison::Unreadable | Poison::Garbage => &READ,
                // Elsewhere a stranger is welcome: it is kept until what it belongs to comes.
                Poison::Stranger => &READ[..2],
            };
            if !topics.contains(&topic.as_str()) {
                return Err(format!("nobody would refuse it on {topic}, only on {}", topics.join(", ")));
            }
        }
        What::RefuseRows(rows) => {
            let is_word =
                |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if !is_word(&rows.database) || !is_word(&rows.table) {
                return bad("`database` and `table` are names such as order_db and orders");
            }
            if rows.check.trim().is_empty() || rows.check.contains(';') {
                return bad("`check` is one SQL condition");
            }
        }
        What::Provider(provider) => {
            let shares = [provider.fail_before, provider.lose_answer];
            if !shares.iter().all(|share| (0.0..=1.0).contains(share)) || provider.latency_ms > 60_000 {
                return bad("shares lie between 0 and 1, `latency_ms` between 0 and 60000");
            }
            if *provider == super::Provider::default() {
                return bad("`provider` says nothing that goes wrong");
            }
        }
        What::OnDemand { service, fault } => {
            if !SERVICES.contains(&service.as_str()) {
                return Err(format!("there is no service `{service}`"));
            }
            if !fault["kind"].as_str().is_some_and(|kind| ON_DEMAND.contains(&kind)) {
                return Err(format!("`fault.kind` is none of: {}", ON_DEMAND.join(", ")));
            }
        }
        What::Rebalance(_) => {
            let session = session(experiment);
            if fault.lasts <= session {
                return Err(format!("`for` is not longer than a group waits ({} s)", session.as_secs_f64()));
            }
            if let Some(part) = members.iter().find(|part| !is_ours(part)) {
                return Err(format!("{part} is in no group"));
            }
        }
        What::Kill(_) | What::Pause(_) | What::Restart(_) | What::RestartPostgres | What::Cut(_) => {}
    }
    Ok(())
}

/// Topics of which somebody handles events; the first two are orders' alone.
const READ: [&str; 4] =
    [Topic::Inventory.name(), Topic::Payments.name(), Topic::Catalog.name(), Topic::Orders.name()];

fn is_topic(name: &str) -> Result<(), String> {
    if Topic::ALL.iter().any(|topic| topic.name() == name) {
        return Ok(());
    }
    let names: Vec<&str> = Topic::ALL.iter().map(|topic| topic.name()).collect();
    Err(format!("`{name}` is none of: {}", names.join(", ")))
}

fn is_point(point: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    point.split_once('.').is_some_and(|(room, name)| is_word(room) && is_word(name))
}

/// A part that is a program of the platform.
fn is_ours(part: &str) -> bool {
    part != "postgres" && !part.starts_with("broker-")
}

fn session(experiment: &Experiment) -> Duration {
    let set = experiment.platform.variables.get("KAFKA_SESSION_TIMEOUT_MS");
    set.and_then(|millis| millis.parse().ok()).map_or(SESSION, Duration::from_millis)
}
