//! `viscount dlq diff`: what has become of the letter's aggregate since.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;
use viscount_chassis::{dead_letters::DeadLetter, masking::is_masked, store::EventStore};
use viscount_contracts::Envelope;

use super::{Databases, of};
use crate::failure::Failure;

/// One member of a message, on both sides.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    member: String,
    letter: Option<String>,
    newest: Option<String>,
}

/// Compares the letter's event with the newest of its key, as the publisher has it.
pub(super) async fn run(databases: &Databases, id: Uuid) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for found in databases.find(id).await? {
        let DeadLetter::Event(letter) = &found.letter else {
            return Err(Failure::Usage(format!("{id} is no event: nothing can be compared")));
        };
        let Some(event) = letter.event() else {
            return Err(Failure::Other(format!("nobody here publishes {}", letter.topic)));
        };
        let store = EventStore::new(event.topic, databases.of(event.topic)?.clone());
        let later = store.stream(letter.key, letter.version).await?;
        lines.push(format!(
            "{} {} v{} {}",
            of(found.service, &letter.consumer),
            letter.key,
            letter.version,
            letter.kind
        ));
        let Some(newest) = later.last() else {
            lines.push("it is the newest event of its key".to_owned());
            continue;
        };
        for between in later.iter().take(later.len() - 1) {
            lines.push(format!("  then  v{} {} {}", between.version, between.kind, between.occurred_at));
        }
        lines.push(format!("newest  v{} {} {}", newest.version, newest.kind, newest.occurred_at));
        if event.to_json().is_none() {
            lines.push("the letter's bytes cannot be read".to_owned());
        }
        for Difference { member, letter, newest } in differences(&event, newest) {
            if let Some(value) = letter {
                lines.push(format!("- {member}: {value}"));
            }
            if let Some(value) = newest {
                lines.push(format!("+ {member}: {value}"));
            }
        }
    }
    Ok(lines)
}

fn differences(letter: &Envelope, newest: &Envelope) -> Vec<Difference> {
    compare(&letter.to_json().unwrap_or_default(), &newest.to_json().unwrap_or_default())
}

/// What differs, member by member, in the order of their names. Masked members are compared and not shown.
fn compare(letter: &Value, newest: &Value) -> Vec<Difference> {
    let mut members: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    flatten(letter, String::new(), &mut |member, value| members.entry(member).or_default().0 = Some(value));
    flatten(newest, String::new(), &mut |member, value| members.entry(member).or_default().1 = Some(value));
    let differing = members.into_iter().filter(|(_, (letter, newest))| letter != newest);
    let differences = differing.map(|(member, (letter, newest))| {
        let hidden = member.split(['.', '[']).any(is_masked);
        let shown = |value: Option<String>| value.map(|value| if hidden { "***".to_owned() } else { value });
        Difference { letter: shown(letter), newest: shown(newest), member }
    });
    differences.collect()
}

/// Every leaf with its path: `lines[0].quantity`.
fn flatten(value: &Value, path: String, leaf: &mut impl FnMut(String, String)) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(value, path, leaf);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(value, format!("{path}[{index}]"), leaf);
            }
        }
        plain => leaf(path, plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_told_member_by_member() {
        let letter =
            json!({"id": "a", "lines": [{"quantity": 2}, {"quantity": 1}], "only": true, "gone": null});
        let newest = json!({"id": "a", "lines": [{"quantity": 3}, {"quantity": 1}], "more": "x"});
        let difference = |member: &str, letter: Option<&str>, newest: Option<&str>| Difference {
            member: member.to_owned(),
            letter: letter.map(str::to_owned),
            newest: newest.map(str::to_owned),
        };
        let wanted = [
            difference("lines[0].quantity", Some("2"), Some("3")),
            difference("more", None, Some("\"x\"")),
            difference("only", Some("true"), None),
        ];
        assert_eq!(compare(&letter, &newest), wanted);
        assert_eq!(compare(&letter, &letter), []);
    }

    #[test]
    fn what_is_masked_differs_without_being_shown() {
        let letter = json!({"payment_token": "tok_1", "shipping_address": {"city": "York"}});
        let newest = json!({"payment_token": "tok_2", "shipping_address": {"city": "Leeds"}});
        let shown = format!("{:?}", compare(&letter, &newest));
        assert!(shown.contains("payment_token") && shown.contains("shipping_address.city"), "{shown}");
        assert!(!shown.contains("tok_") && !shown.contains("York") && !shown.contains("Leeds"), "{shown}");
    }
}
