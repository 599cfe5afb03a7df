//! What the causes are called for people, and what to do.

use uuid::Uuid;
use viscount_chassis::explain::{
    ActorEvidence, BreakerEvidence, ConsumerEvidence, Note, Parked, RelayEvidence,
};

pub fn fulfilment() -> String {
    "the order is paid; whoever fulfils orders outside this platform has not said that it is complete"
        .to_owned()
}

pub fn down(service: &str, problem: &str, others: bool) -> String {
    match others {
        true => format!("one instance of {service} gives no evidence: {problem}; others do"),
        false => format!("{service} is on the order's way, and gives no evidence: {problem}"),
    }
}

pub fn parked(service: &str, parked: &Parked) -> String {
    let Parked { event, error, dead_letter_id, behind, redriving, .. } = parked;
    let behind = match behind {
        0 => String::new(),
        1 => ", and 1 event of the order waits behind it".to_owned(),
        behind => format!(", and {behind} events of the order wait behind it"),
    };
    let what_to_do = match redriving {
        true => "another try has been asked for".to_owned(),
        false => format!("`viscount dlq show {dead_letter_id}`, then redrive or discard it"),
    };
    format!("{service} has given up {event}: {error}{behind}; {what_to_do}")
}

pub fn breaker(breaker: &BreakerEvidence) -> String {
    let BreakerEvidence { name, state } = breaker;
    match state.as_str() {
        "half_open" => {
            format!("the breaker {name} lets one call through to see whether the other side is back")
        }
        _ => format!(
            "the breaker {name} is open: the other side has failed, and nothing is sent to it for a while"
        ),
    }
}

pub fn unknown_outcome(note: &Note) -> String {
    let again = note.until.map_or(String::new(), |until| format!("; the next try is due at {until:.0}"));
    format!("{}{again}", note.detail)
}

pub fn actor(service: &str, order: Uuid, actor: &ActorEvidence) -> String {
    let ActorEvidence { path, state, last_exit, .. } = actor;
    let own = path.ends_with(&order.to_string());
    let exit = last_exit.as_ref().map_or(String::new(), |exit| format!("; its last exit: {exit}"));
    match (state.as_str(), own) {
        ("quarantined", _) => format!(
            "the order's own actor in {service} fell too often and is quarantined{exit}; when the reason is gone: `viscount actors release`"
        ),
        ("stuck", true) => format!(
            "the order's own actor in {service} makes no progress on its messages{exit}; it is given up at its deadline and loaded afresh"
        ),
        ("fallen", _) => format!("the order's own actor in {service} fell lately{exit}"),
        (state, _) => format!("{path} is {}{exit}", state.replace('_', " ")),
    }
}

pub fn relay(service: &str, relay: &RelayEvidence) -> String {
    let RelayEvidence { lag_events, lag_seconds, .. } = relay;
    format!(
        "{service} has committed {lag_events} events that are not on the brokers, the oldest for {lag_seconds:.0} s; `/readyz` of {service} says what is wrong with the brokers"
    )
}

pub fn lag(service: &str, consumer: &ConsumerEvidence) -> String {
    let ConsumerEvidence { topic, partition, lag_events, lag_seconds, .. } = consumer;
    format!(
        "{service} has {lag_events} events of {topic} before it in partition {partition}, the oldest {lag_seconds:.1} s old: it is slow, or the first of them does not work"
    )
}

pub fn view(consumer: &ConsumerEvidence) -> String {
    let ConsumerEvidence { lag_events, lag_seconds, .. } = consumer;
    format!(
        "this view is {lag_events} events behind ({lag_seconds:.1} s): what orders itself says was used instead"
    )
}

pub fn nothing(seconds: f64) -> String {
    match seconds < 1.0 {
        true => "it waits for less than a second: it may be just under way".to_owned(),
        false => "every service on the way answers, nothing is parked, open, down or behind; its trace and the logs of the time have more".to_owned(),
    }
}
