//! `viscount dlq show`: one letter with what is in it.

use std::fmt::Display;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use uuid::Uuid;
use viscount_chassis::{
    dead_letters::{DeadLetter, Letter, Tried, UnreadableMessage},
    log::RawHeader,
    masking::masked_json,
};
use viscount_contracts::Topic;

use super::{Databases, age, of};
use crate::failure::Failure;

/// The letter of each consumer that has it.
pub(super) async fn run(databases: &Databases, id: Uuid, raw: bool) -> Result<Vec<String>, Failure> {
    let lines = databases.find(id).await?.into_iter().flat_map(|found| match found.letter {
        DeadLetter::Event(letter) => of_event(found.service, &letter),
        DeadLetter::Unreadable(message) => of_message(found.service, &message, raw),
    });
    Ok(lines.collect())
}

/// Lines with a name in front.
#[derive(Default)]
struct Rows(Vec<String>);

impl Rows {
    fn add(&mut self, name: &str, value: impl Display) {
        self.0.push(format!("{name:<9} {value}"));
    }

    fn add_tries(&mut self, attempts: i32, tries: &[Tried]) {
        self.add("attempts", attempts);
        for Tried { at, attempts, error } in tries {
            self.add("error", format!("{at} ({attempts} times) {error}"));
        }
    }
}

fn of_event(service: Topic, letter: &Letter) -> Vec<String> {
    let mut rows = Rows::default();
    rows.add("event", letter.id);
    rows.add("consumer", of(service, &letter.consumer));
    rows.add("topic", format!("{} at {}", letter.topic, letter.position));
    rows.add("key", letter.key);
    rows.add("is", format!("{} v{}", letter.kind, letter.version));
    rows.add("occurred", letter.occurred_at);
    rows.add("state", format!("{:?}", letter.state).to_lowercase());
    rows.add("since", format!("{}, {} ago", letter.recorded_at, age(letter.recorded_at)));
    match letter.errors.is_empty() {
        // Parked, or of a time when only the last error was kept.
        true => {
            rows.add("attempts", letter.attempts);
            rows.add("error", &letter.error);
        }
        false => rows.add_tries(letter.attempts, &letter.errors),
    }
    rows.add("trace", letter.trace_id.as_deref().unwrap_or("none"));
    rows.add("parked", letter.parked);
    if let Some(first) = letter.behind {
        rows.add("behind", first);
    }
    match letter.event().as_ref().and_then(masked_json) {
        Some(data) => rows.add("data", format!("{data:#}")),
        None => rows.add("data", format!("{} bytes that cannot be read", letter.data.len())),
    }
    rows.0
}

/// Nothing can be masked in bytes that nobody understands: they are shown to those who ask for them.
fn of_message(service: Topic, kept: &UnreadableMessage, raw: bool) -> Vec<String> {
    let mut rows = Rows::default();
    rows.add("message", kept.id);
    rows.add("consumer", of(service, &kept.consumer));
    rows.add("topic", format!("{} partition {} offset {}", kept.topic, kept.partition, kept.offset));
    // Whoever wrote this may have meant the terminal.
    rows.add("key", kept.key.as_deref().unwrap_or("none").escape_debug());
    rows.add("is", kept.kind);
    if let Some(at) = kept.produced_at {
        rows.add("produced", at);
    }
    rows.add("state", format!("{:?}", kept.state).to_lowercase());
    rows.add("since", format!("{}, {} ago", kept.recorded_at, age(kept.recorded_at)));
    rows.add_tries(kept.attempts, &kept.errors);
    rows.add("trace", kept.trace_id.as_deref().unwrap_or("none").escape_debug());
    for RawHeader { name, value } in &kept.message.headers {
        let (name, value) = (name.as_deref().unwrap_or("(a name that is no text)"), value.as_deref());
        let value = match (raw, value) {
            (_, None) => "none".to_owned(),
            (true, Some(value)) => BASE64.encode(value),
            (false, Some(value)) => format!("{} bytes", value.len()),
        };
        rows.add("header", format!("{}: {value}", name.escape_debug()));
    }
    match (raw, &kept.message.value) {
        (_, None) => rows.add("value", "none"),
        (true, Some(value)) => rows.add("value", BASE64.encode(value)),
        (false, Some(value)) => {
            rows.add("value", format!("{} bytes; --raw shows them in base64", value.len()))
        }
    }
    rows.0
}
