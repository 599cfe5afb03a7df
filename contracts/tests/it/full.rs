//! An event of each kind with every field set: what a run of the platform seldom gives.

use std::{collections::BTreeSet, fs::OpenOptions, io::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::json;
use viscount_contracts::{
    Topic,
    events::{self, KINDS},
};

use crate::{
    corpus::{self, Recorded},
    schema::SCHEMAS,
};

/// Fields of every kind that no recorded event has a value for: `orders.OrderCreated.lines.sku`.
pub fn missing(recorded: &[Recorded]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    for event in recorded {
        let message = SCHEMAS.event(event.topic, &event.kind);
        let message = DynamicMessage::decode(message, event.data.as_slice()).unwrap();
        see(&format!("{}.{}", event.topic.service(), event.kind), &message, &mut seen);
    }
    let mut all = BTreeSet::new();
    for (topic, kind) in KINDS {
        let message = filled(&SCHEMAS.event(*topic, kind));
        all.insert(format!("{}.{kind}", topic.service()));
        see(&format!("{}.{kind}", topic.service()), &message, &mut all);
    }
    all.difference(&seen).cloned().collect()
}

/// Every path in a message that has a value.
fn see(at: &str, message: &DynamicMessage, seen: &mut BTreeSet<String>) {
    seen.insert(at.to_owned());
    for (field, value) in message.fields() {
        let path = format!("{at}.{}", field.name());
        match value {
            Value::Message(inner) => see(&path, inner, seen),
            Value::List(items) => {
                items.iter().filter_map(Value::as_message).for_each(|inner| see(&path, inner, seen));
            }
            _ => {}
        }
        seen.insert(path);
    }
}

/// Records an event of each kind that has a field without a recorded value.
pub fn record(missing: &[String]) {
    let path = corpus::of_this_version().join("events").join("every-field.jsonl");
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    for (topic, kind) in KINDS {
        let name = format!("{}.{kind}", topic.service());
        if missing.iter().any(|path| *path == name || path.starts_with(&format!("{name}."))) {
            writeln!(file, "{}", event(*topic, kind)).unwrap();
        }
    }
}

fn event(topic: Topic, kind: &str) -> serde_json::Value {
    let data = prost_reflect::prost::Message::encode_to_vec(&filled(&SCHEMAS.event(topic, kind)));
    json!({
        "specversion": "1.0",
        "id": ID,
        "source": topic,
        "type": kind,
        "time": "2026-01-02T03:04:05.678901Z",
        "subject": ID,
        "version": 1,
        "position": 1,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "datacontenttype": "application/protobuf",
        "data_base64": BASE64.encode(&data),
        "decoded": events::to_json(topic, kind, &data).unwrap(),
    })
}

const ID: &str = "01980000-0000-7000-8000-000000000001";

fn filled(message: &MessageDescriptor) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = if field.is_map() {
            Value::Map([(MapKey::String("colour".into()), Value::String("green".into()))].into())
        } else if field.is_list() {
            Value::List(vec![single(&field), single(&field)])
        } else {
            single(&field)
        };
        filled.set_field(&field, value);
    }
    filled
}

fn single(field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::Message(inner) => Value::Message(filled(&inner)),
        Kind::Int64 => Value::I64(1_999),
        Kind::Int32 => Value::I32(-3),
        Kind::Uint32 => Value::U32(field.number() + 1),
        Kind::String => Value::String(text(field.name())),
        other => panic!("{}: no value for {other:?}: give it one here", field.full_name()),
    }
}

/// Something that may stand in such a field.
fn text(name: &str) -> String {
    match name {
        id if id.ends_with("_id") => ID,
        "sku" => "TEA-GREEN-250",
        "name" => "Green tea",
        "category" => "tea",
        "brand" => "Viscount",
        "description" => "Leaves, 250 g",
        "currency" => "GBP",
        "payment_method" => "card",
        "payment_token" => "tok_visa",
        "city" => "London",
        "postal_code" => "SW1A 1AA",
        "country" => "GB",
        "lines" => "1 Example Street",
        "location" => "main",
        "roles" => "customer",
        "cancelled_by" => "customer",
        "reason_code" => "insufficient_stock",
        "code" => "card_declined",
        "provider_reference" => "ch_1",
        "reason" | "detail" => "said in words",
        other => other,
    }
    .to_owned()
}
