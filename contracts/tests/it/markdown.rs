//! `docs/events.md`.

use std::{collections::BTreeMap, fmt::Write as _};

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use viscount_contracts::{Topic, events::KINDS};

use crate::{corpus, schema::SCHEMAS};

const HEAD: &str = "\
# Events

What the services tell each other, field by field. This page is made of the schemas in `contracts/proto` and of recorded
events; a test fails when it is out of date, and says how to make it anew. What may be relied on, and who listens to what,
is in [messaging.md](messaging.md); the same for programs is in [asyncapi.yaml](asyncapi.yaml).

Every field may be absent, which is the same as its default: an empty text, 0, an empty list, no message. Ids are UUIDs as
text. Events are shown as JSON here; on their way they are protobuf.
";

pub fn document() -> String {
    let mut out = HEAD.to_owned();
    let mut shared = BTreeMap::new();
    for topic in Topic::ALL {
        let file = SCHEMAS.file(topic);
        let _ = write!(out, "\n## {topic}\n\n{}\n", SCHEMAS.comment(&file, &[]));
        let mut parts = BTreeMap::new();
        for (of, kind) in KINDS.iter().filter(|(of, _)| *of == topic) {
            let event = SCHEMAS.event(*of, kind);
            message(&event, 3, &mut out);
            let _ = write!(out, "\n```json\n{}\n```\n", example(topic, kind));
            collect(&event, &mut parts);
        }
        for (name, part) in parts {
            if part.package_name() == file.package_name() {
                message(&part, 3, &mut out);
            } else {
                shared.insert(name, part);
            }
        }
    }
    out.push_str("\n## Shared\n");
    for part in shared.values() {
        message(part, 3, &mut out);
    }
    out
}

fn message(message: &MessageDescriptor, level: usize, out: &mut String) {
    let file = message.parent_file();
    let said = SCHEMAS.comment(&file, message.path());
    let _ = write!(out, "\n{} {}\n\n{said}\n", "#".repeat(level), message.name());
    out.push_str("\n| | field | type | |\n|---|---|---|---|\n");
    for field in message.fields() {
        let said = SCHEMAS.comment(&file, field.path());
        let _ = writeln!(out, "| {} | `{}` | {} | {said} |", field.number(), field.name(), type_of(&field));
    }
}

fn type_of(field: &FieldDescriptor) -> String {
    if field.is_map() {
        return "map of texts".to_owned();
    }
    let single = match field.kind() {
        Kind::Message(inner) => format!("[{0}](#{1})", inner.name(), anchor(&inner)),
        Kind::String => "string".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    if field.cardinality() == Cardinality::Repeated { format!("list of {single}") } else { single }
}

/// Two topics have a message `ShortLine`: the second heading of a name gets a number.
fn anchor(message: &MessageDescriptor) -> String {
    let name = message.name().to_lowercase();
    let before = Topic::ALL
        .into_iter()
        .take_while(|topic| SCHEMAS.file(*topic) != message.parent_file())
        .filter(|topic| SCHEMAS.file(*topic).messages().any(|other| other.name() == message.name()))
        .count();
    if before == 0 || message.package_name().contains("common") { name } else { format!("{name}-{before}") }
}

/// The messages inside of a message, at any depth.
fn collect(message: &MessageDescriptor, found: &mut BTreeMap<String, MessageDescriptor>) {
    for field in message.fields().filter(|field| !field.is_map()) {
        if let Kind::Message(inner) = field.kind()
            && found.insert(inner.full_name().to_owned(), inner.clone()).is_none()
        {
            collect(&inner, found);
        }
    }
}

/// The recorded event of this kind that shows the most.
pub fn richest(topic: Topic, kind: &str) -> serde_json::Value {
    let all = corpus::read().into_iter().filter(|event| event.topic == topic && event.kind == kind);
    all.max_by_key(|event| event.data.len()).unwrap().decoded
}

fn example(topic: Topic, kind: &str) -> String {
    serde_json::to_string_pretty(&richest(topic, kind)).unwrap()
}
