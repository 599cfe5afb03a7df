//! `docs/asyncapi.yaml`: an AsyncAPI 3.0 document with the Kafka binding of CloudEvents.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};
use viscount_contracts::{Retention, Topic, events::KINDS};

use crate::{
    markdown::richest,
    schema::{SCHEMAS, short_name},
};

/// Of AsyncAPI's bindings for Kafka.
const BINDING: &str = "0.5.0";

/// Which services listen to which topics, as members of the group `<service>.<topic>`.
const READS: [(&str, Topic); 6] = [
    ("catalog", Topic::Inventory),
    ("inventory", Topic::Orders),
    ("orders", Topic::Catalog),
    ("orders", Topic::Inventory),
    ("orders", Topic::Payments),
    ("payments", Topic::Orders),
];

pub fn document() -> Value {
    let version = format!("{}.{}", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "First Viscount",
            "version": version,
            "description": "The events of an order platform: CloudEvents 1.0 in binary mode on Apache Kafka, with protobuf \
                as data. The payloads are described as the JSON that protobuf maps them to, with the field names of the \
                schemas. Every event reaches every group at least once; those of one key keep their order.",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/protobuf",
        "servers": { "brokers": {
            "host": "{brokers}",
            "protocol": "kafka",
            "description": "Apache Kafka, Redpanda, or whatever speaks the protocol.",
            "variables": { "brokers": { "default": "localhost:9092", "description": "`KAFKA_BROKERS`" } },
        }},
        "channels": channels(),
        "operations": operations(),
        "components": { "messages": messages(), "schemas": schemas() },
    })
}

fn kinds(topic: Topic) -> impl Iterator<Item = &'static str> {
    KINDS.iter().filter(move |(of, _)| *of == topic).map(|(_, kind)| *kind)
}

fn channels() -> Value {
    let channel = |topic: Topic| {
        let spec = topic.spec();
        let (cleanup, retention) = match spec.retention {
            Retention::Unlimited => ("delete", -1),
            Retention::Compacted => ("compact", -1),
            Retention::Days(days) => ("delete", i64::from(days) * 24 * 60 * 60 * 1_000),
        };
        let messages: Map<String, Value> = kinds(topic)
            .map(|kind| {
                let message = format!("#/components/messages/{}.{kind}", topic.service());
                (kind.to_owned(), json!({ "$ref": message }))
            })
            .collect();
        let channel = json!({
            "address": topic.name(),
            "description": SCHEMAS.comment(&SCHEMAS.file(topic), &[]),
            "servers": [{ "$ref": "#/servers/brokers" }],
            "messages": messages,
            "bindings": { "kafka": {
                "topic": topic.name(),
                "partitions": spec.partitions,
                "replicas": spec.replicas,
                "topicConfiguration": {
                    "cleanup.policy": [cleanup],
                    "retention.ms": retention,
                    "max.message.bytes": spec.max_message_bytes,
                },
                "bindingVersion": BINDING,
            }},
        });
        (topic.service().to_owned(), channel)
    };
    Topic::ALL.into_iter().map(channel).collect::<Map<_, _>>().into()
}

fn operations() -> Value {
    let reference = |topic: Topic| json!({ "$ref": format!("#/channels/{}", topic.service()) });
    let published = Topic::ALL.into_iter().map(|topic| {
        let operation = json!({
            "action": "send",
            "channel": reference(topic),
            "summary": format!("{} publishes what it has committed.", topic.service()),
        });
        (format!("{}.publishes", topic.service()), operation)
    });
    let read = READS.into_iter().map(|(service, topic)| {
        let group = format!("{service}.{topic}");
        let operation = json!({
            "action": "receive",
            "channel": reference(topic),
            "summary": format!("{service} listens to {}.", topic.service()),
            "bindings": { "kafka": {
                "groupId": { "type": "string", "enum": [group] },
                "bindingVersion": BINDING,
            }},
        });
        (format!("{service}.reads.{}", topic.service()), operation)
    });
    published.chain(read).collect::<Map<_, _>>().into()
}

fn messages() -> Value {
    let message = |(topic, kind): &(Topic, &str)| {
        let event = SCHEMAS.event(*topic, kind);
        let name = short_name(&event);
        let message = json!({
            "name": kind,
            "title": kind,
            "summary": SCHEMAS.comment(&event.parent_file(), event.path()),
            "contentType": "application/protobuf",
            "headers": { "$ref": "#/components/schemas/headers" },
            "payload": { "$ref": format!("#/components/schemas/{name}") },
            "bindings": { "kafka": {
                "key": { "type": "string", "format": "uuid", "description": "The aggregate's id, as text." },
                "bindingVersion": BINDING,
            }},
            "examples": [{ "name": "recorded", "payload": richest(*topic, kind) }],
        });
        (name, message)
    };
    KINDS.iter().map(message).collect::<Map<_, _>>().into()
}

fn schemas() -> Value {
    let mut found = BTreeMap::new();
    for (topic, kind) in KINDS {
        collect(&SCHEMAS.event(*topic, kind), &mut found);
    }
    found.insert("headers".to_owned(), headers());
    found.into_iter().collect::<Map<_, _>>().into()
}

fn collect(message: &MessageDescriptor, found: &mut BTreeMap<String, Value>) {
    let file = message.parent_file();
    let mut properties = Map::new();
    for field in message.fields() {
        let said = SCHEMAS.comment(&file, field.path());
        properties.insert(field.name().to_owned(), property(&field, said));
        if let Kind::Message(inner) = field.kind()
            && !field.is_map()
        {
            collect(&inner, found);
        }
    }
    let schema = json!({
        "type": "object",
        "description": SCHEMAS.comment(&file, message.path()),
        "properties": properties,
    });
    found.insert(short_name(message), schema);
}

fn property(field: &FieldDescriptor, said: &str) -> Value {
    if field.is_map() {
        return json!({ "type": "object", "additionalProperties": { "type": "string" }, "description": said });
    }
    let single = match field.kind() {
        // Beside a `$ref` nothing else is read.
        Kind::Message(inner) if !field.is_list() => {
            let reference = format!("#/components/schemas/{}", short_name(&inner));
            return json!({ "allOf": [{ "$ref": reference }], "description": said });
        }
        Kind::Message(inner) => json!({ "$ref": format!("#/components/schemas/{}", short_name(&inner)) }),
        Kind::String => json!({ "type": "string" }),
        Kind::Int32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Int64 => json!({ "type": "integer", "format": "int64" }),
        Kind::Uint32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        other => panic!("{}: no schema for {other:?}: give it one here", field.full_name()),
    };
    let mut property = match field.is_list() {
        true => json!({ "type": "array", "items": single }),
        false => single,
    };
    property["description"] = said.into();
    property
}

/// As `docs/messaging.md` has them.
fn headers() -> Value {
    let text = |said: &str| json!({ "type": "string", "description": said });
    let number = |said: &str| json!({ "type": "string", "pattern": "^[1-9][0-9]*$", "description": said });
    json!({
        "type": "object",
        "description": "The attributes of CloudEvents 1.0, each a header of the message.",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_version", "ce_position"],
        "properties": {
            "content-type": text("`application/protobuf`; `application/vnd.confluent.protobuf` behind the frame of a schema registry."),
            "ce_specversion": text("`1.0`"),
            "ce_id": text("UUIDv7; the same however often the event is delivered."),
            "ce_source": text("The topic."),
            "ce_type": text("The kind: the name of the message."),
            "ce_time": text("When it happened, to the microsecond; RFC 3339."),
            "ce_subject": text("The aggregate's id; also the message's key."),
            "ce_version": number("The aggregate's version after this event: 1, 2, 3, … without a gap."),
            "ce_position": number("The event's place in the topic: 1, 2, 3, … without a gap."),
            "traceparent": text("W3C trace context of what caused it."),
        },
    })
}
