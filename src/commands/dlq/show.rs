//! `viscount dlq show`: one letter with its event.

use std::fmt::Display;

use uuid::Uuid;
use viscount_chassis::masking::masked_json;

use super::{Databases, Found, age, of};
use crate::failure::Failure;

/// The letter of each consumer that has it.
pub(super) async fn run(databases: &Databases, id: Uuid) -> Result<Vec<String>, Failure> {
    Ok(databases.find(id).await?.iter().flat_map(lines).collect())
}

fn lines(found: &Found) -> Vec<String> {
    let Found { service, letter } = found;
    let mut lines = Vec::new();
    let mut row = |name: &str, value: &dyn Display| lines.push(format!("{name:<9} {value}"));
    row("event", &letter.id);
    row("consumer", &of(*service, &letter.consumer));
    row("topic", &format!("{} at {}", letter.topic, letter.position));
    row("key", &letter.key);
    row("is", &format!("{} v{}", letter.kind, letter.version));
    row("occurred", &letter.occurred_at);
    row("state", &format!("{:?}", letter.state).to_lowercase());
    row("since", &format!("{}, {} ago", letter.recorded_at, age(letter.recorded_at)));
    row("attempts", &letter.attempts);
    row("error", &letter.error);
    row("trace", &letter.trace_id.as_deref().unwrap_or("none"));
    row("parked", &letter.parked);
    if let Some(first) = letter.behind {
        row("behind", &first);
    }
    match letter.event().as_ref().and_then(masked_json) {
        Some(data) => row("data", &format!("{data:#}")),
        None => row("data", &format!("{} bytes that cannot be read", letter.data.len())),
    }
    lines
}
