//! A schema registry beside the broker.

use std::time::Duration;

use rdkafka::Message;
use tokio::time::timeout;
use viscount_chassis::{
    devkafka::testing::{on_a_blocking_thread, own_registry, test_registry, wanted},
    log::{EventLog, kafka::RegistryError},
    ports::free_port,
    testing::{eventually, run},
};
use viscount_contracts::Topic;

use super::{
    hall::{Hall, Notes, PATIENCE, keys, positions, publish},
    registry::{Registrar, copied, header, key, publishing},
};
use crate::bed::{entry, event};

const FRAMED: &str = "application/vnd.confluent.protobuf";

/// What the readiness report says is wrong.
async fn trouble(log: &dyn EventLog, of: &str) {
    eventually(|| async { log.check().await.err().filter(|said| said.contains(of)) }).await;
}

#[test]
fn framed_events_name_their_schema_and_are_read_with_and_without_the_registry() {
    if !wanted("framed events") {
        return;
    }
    run(async {
        // Of two addresses one answers.
        let urls = format!("http://127.0.0.1:{}, {}", free_port().unwrap(), test_registry().await);
        let hall = Hall::shared().await.and_registry(&urls);
        let bed = hall.bed().await;
        publish(&bed, &keys(3), 1..=2).await;
        // A process that has never asked the registry, and one that has none.
        let asking = hall.log();
        assert_eq!(positions(hall.follow(asking.as_ref()).await.as_mut(), 6).await.len(), 6);
        let mut plain = Hall { config: hall.config.clone() };
        plain.config.registry = None;
        let mut reader = plain.follow(plain.log().as_ref()).await;
        let event = timeout(PATIENCE, reader.next(1)).await.unwrap().unwrap().remove(0);
        assert!(event.to_json().unwrap()["order_id"].as_str().is_some(), "the frame is not part of the data");

        let reports = hall.kafka_log().register_schemas().await.unwrap();
        let orders = reports.iter().find(|report| report.subject == hall.subject()).unwrap();
        assert!(!orders.registered, "the relay has registered it");
        let index = Topic::Orders.messages().iter().position(|name| name == "OrderCompleted").unwrap();
        let mut frame = vec![0];
        frame.extend(orders.id.to_be_bytes());
        frame.extend([2, u8::try_from(index).unwrap() * 2]);
        for message in on_a_blocking_thread(move || hall.raw(6)).await {
            assert_eq!(header(&message, "content-type"), Some(FRAMED));
            assert!(message.payload().unwrap().starts_with(&frame), "{:?}", message.payload());
        }
    });
}

/// As it is while the registry is being introduced.
#[test]
fn a_topic_may_hold_plain_and_framed_events() {
    if !wanted("plain and framed events on one topic") {
        return;
    }
    run(async {
        let plain = Hall::shared().await;
        let bed = plain.bed().await;
        publish(&bed, &keys(3), 1..=1).await;
        let mut follower = plain.follow(bed.log.as_ref()).await;
        positions(follower.as_mut(), 3).await;
        drop(follower);
        bed.log.close(PATIENCE).await;
        let framing = Hall { config: plain.config.clone() }.and_registry(&test_registry().await);
        let log = framing.log();
        let committer = publishing(&bed, log.as_ref());
        committer.commit(entry(vec![event(key(), 1)])).await.unwrap();
        let reader = framing.log();
        let mut all = positions(framing.follow(reader.as_ref()).await.as_mut(), 4).await;
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4]);
        let raw = on_a_blocking_thread(move || framing.raw(4)).await;
        let framed = raw.iter().filter(|message| header(message, "content-type") == Some(FRAMED)).count();
        assert_eq!(framed, 1);
    });
}

#[test]
fn schemas_are_registered_once_and_a_difference_is_told_and_left() {
    if !wanted("registering schemas") {
        return;
    }
    run(async {
        let mut hall = Hall::with_registry().await;
        hall.config.registry.as_mut().unwrap().auto_register = false;
        let (bed, log) = (hall.bed().await, hall.kafka_log());
        publish(&bed, &keys(2), 1..=1).await;
        trouble(bed.log.as_ref(), "run viscount migrate").await;

        let reports = log.register_schemas().await.unwrap();
        assert_eq!(reports.len(), Topic::ALL.len() + 1, "five topics and what they import: {reports:?}");
        assert!(reports.iter().all(|report| report.registered && report.difference.is_none()), "{reports:?}");
        let reader = hall.log();
        assert_eq!(positions(hall.follow(reader.as_ref()).await.as_mut(), 2).await.len(), 2);
        eventually(|| async { bed.log.check().await.ok() }).await;

        Registrar(test_registry().await).set_level(&hall.subject(), "FORWARD").await;
        for _ in 0..2 {
            let reports = log.register_schemas().await.unwrap();
            assert!(reports.iter().all(|report| !report.registered), "{reports:?}");
            let orders = reports.iter().find(|report| report.subject == hall.subject()).unwrap();
            let difference = orders.difference.as_deref();
            assert_eq!(difference, Some("compatibility is FORWARD, should be BACKWARD_TRANSITIVE"));
        }
    });
}

/// Somebody has registered a schema that ours does not fit.
#[test]
fn a_schema_that_is_refused_stops_migrate_and_publishing_but_no_commit() {
    if !wanted("a schema that is refused") {
        return;
    }
    run(async {
        let hall = Hall::with_registry().await;
        let (registrar, schema) = (Registrar(test_registry().await), Topic::Orders.schema());
        let common = schema.imports[0];
        let import = format!("{}{}", hall.config.prefix, common.file);
        registrar.register(&import, common.text, None).await;
        let other = schema.text.replace("string customer_id = 2;", "int64 customer_id = 2;");
        assert_ne!(other, schema.text);
        let subject = hall.subject();
        registrar.register(&subject, &other, Some((common.file, &import))).await;
        registrar.set_level(&subject, "BACKWARD_TRANSITIVE").await;

        let log = hall.kafka_log();
        let refused = log.register_schemas().await.unwrap_err();
        let RegistryError::Refused { subject: of, status: 409, .. } = &refused else { panic!("{refused}") };
        assert_eq!(*of, subject);
        assert!(refused.to_string().contains(&subject), "{refused}");

        let bed = hall.bed().await;
        publish(&bed, &keys(3), 1..=1).await;
        trouble(bed.log.as_ref(), &subject).await;
        assert_eq!(bed.positions().await, [1, 2, 3]);
        let mut follower = hall.follow(bed.log.as_ref()).await;
        let early = timeout(Duration::from_millis(500), follower.next(10)).await;
        assert!(early.is_err(), "nothing is published with a schema that is refused");
        // Somebody decides; nobody has to start anything again.
        registrar.set_level(&subject, "NONE").await;
        assert_eq!(positions(follower.as_mut(), 3).await.len(), 3);
        eventually(|| async { bed.log.check().await.ok() }).await;
    });
}

/// Away when a service starts; away when its id is known; away when somebody meets an id for the first time.
#[test]
fn a_registry_that_is_away_is_waited_for_only_where_it_is_needed() {
    if !wanted("a registry that is away") {
        return;
    }
    run(async {
        let mut registry = own_registry().await;
        let hall = Hall::shared().await.and_registry(&registry.url());
        registry.kill();
        let (bed, keys) = (hall.bed().await, keys(20));
        publish(&bed, &keys, 1..=1).await;
        trouble(bed.log.as_ref(), "publishing orders.events.v1 waits").await;
        let mut registry = restarted(registry).await;
        let mut knows = hall.follow(bed.log.as_ref()).await;
        assert_eq!(positions(knows.as_mut(), 20).await.len(), 20);

        registry.kill();
        publish(&bed, &keys, 2..=3).await;
        assert_eq!(positions(knows.as_mut(), 40).await.len(), 40);
        bed.log.check().await.unwrap();

        // Its partitions wait; nothing is skipped.
        let notes = Notes::default();
        let member = hall.member(&bed.pool, &notes);
        trouble(member.log(), "reading schema").await;
        assert_eq!(notes.count(), 0);
        let _registry = restarted(registry).await;
        notes.until(60).await;
        notes.are_in_order(20, 3);
        eventually(|| async { member.log().check().await.ok() }).await;
        member.leave().await;
    });
}

async fn restarted(
    mut registry: viscount_chassis::devkafka::DevRegistry,
) -> viscount_chassis::devkafka::DevRegistry {
    on_a_blocking_thread(move || {
        registry.restart().unwrap();
        registry
    })
    .await
}

/// Frames that lie, each with headers that are in order: told, skipped, and nobody else is harmed.
#[test]
fn a_message_that_is_not_what_its_schema_says_is_no_event_of_ours() {
    if !wanted("frames that lie") {
        return;
    }
    run(async {
        let hall = Hall::with_registry().await;
        hall.made(1, &[]).await;
        let (bed, keys) = (hall.bed().await, keys(2));
        publish(&bed, &keys, 1..=1).await;
        let hall = std::sync::Arc::new(hall);
        let sending = hall.clone();
        let registrar = Registrar(test_registry().await);
        let foreign = "syntax = \"proto3\"; package viscount.orders.v1; message OrderCompleted { string order_id = 1; }";
        let elsewhere = registrar.register(&format!("{}elsewhere", hall.config.prefix), foreign, None).await;
        on_a_blocking_thread(move || {
            let good = sending.raw(1).remove(0);
            let value = good.payload().unwrap();
            let with = |id: u64, rest: &[u8]| {
                let id = u32::try_from(id).unwrap();
                [&[0][..], &id.to_be_bytes(), rest].concat()
            };
            // An id that nobody has given out; one of another subject; another kind; no such message; cut off.
            sending.send(copied(&good, "OrderCompleted", 1_001), &with(4_000_000, &value[5..]));
            sending.send(copied(&good, "OrderCompleted", 1_002), &with(elsewhere, &[0]));
            sending.send(copied(&good, "OrderCancelled", 1_003), value);
            sending.send(copied(&good, "OrderCompleted", 1_004), &[&value[..5], &[2, 120]].concat());
            sending.send(copied(&good, "OrderCompleted", 1_005), &value[..4]);
        })
        .await;
        publish(&bed, &keys, 2..=2).await;
        let reader = hall.log();
        let seen = positions(hall.follow(reader.as_ref()).await.as_mut(), 4).await;
        assert_eq!(seen, [1, 2, 3, 4]);
    });
}
