//! What is no event of ours: kept, shown, never in anybody's way.

use std::collections::BTreeMap;

use sqlx::PgPool;
use uuid::Uuid;
use viscount_chassis::{
    dead_letters::{self, DeadLetter, Filter, Letter, State, UnreadableMessage},
    devkafka::testing::{on_a_blocking_thread, own_broker, wanted},
    log::RawHeader,
    testing::{eventually, run},
};

use super::{
    foreign::{Plain, produce, produce_with_header_named, read, rewind, standing},
    hall::{Hall, keys, positions, publish},
};
use crate::redriving::Ledger;

async fn unreadable(pool: &PgPool) -> Vec<UnreadableMessage> {
    let all = dead_letters::list_all(pool, &Filter::default(), 10_000).await.unwrap();
    let mut messages: Vec<_> = all
        .into_iter()
        .filter_map(|letter| match letter {
            DeadLetter::Unreadable(message) => Some(message),
            DeadLetter::Event(_) => None,
        })
        .collect();
    messages.sort_by_key(|message| message.offset);
    messages
}

async fn letters(pool: &PgPool) -> Vec<Letter> {
    dead_letters::list(pool, &Filter::default(), 100).await.unwrap()
}

/// As it was produced.
fn plain(kept: &UnreadableMessage) -> Plain {
    let headers = kept.message.headers.iter();
    let headers = headers.map(|RawHeader { name, value }| {
        (name.clone().unwrap_or_default(), value.as_ref().map(|value| value.to_vec()))
    });
    Plain {
        key: kept.message.key.as_ref().map(|key| key.to_vec()),
        value: kept.message.value.as_ref().map(|value| value.to_vec()),
        headers: headers.collect(),
    }
}

fn garbage() -> Vec<(Plain, &'static str)> {
    let no_event = "it is no CloudEvent 1.0 in binary mode";
    let null = Plain { headers: vec![("ce_specversion".to_owned(), None)], ..Plain::default() };
    vec![
        (Plain::new(b"who", b"hello"), no_event),
        (Plain::default(), no_event),
        (Plain::new(b"", b""), no_event),
        (null, no_event),
        (Plain::new(b"\0\xff", b"\0\xfe\xff").header("twice", b"1").header("twice", b"\xff"), no_event),
        (Plain::new(b"", b"").event_but("ce_id", b"17"), "ce_id cannot be read"),
        (Plain::new(b"k", b"v").event_but("ce_type", b"\xff"), "ce_type is no text"),
        (Plain::new(b"k", b"v").event_but("ce_position", b"1.5"), "ce_position cannot be read"),
        (Plain::new(b"k", b"v").event_but("ce_version", b"99999999999"), "ce_version cannot be read"),
        (Plain::new(b"k", b"v").event_but("ce_time", b"-009000-01-01T00:00:00Z"), "ce_time is before 1970"),
        (Plain::new(b"k", b"v").event_but("ce_specversion", b"0.3"), no_event),
    ]
}

#[test]
fn garbage_between_events_is_kept_as_it_came_and_harms_nobody() {
    if !wanted("garbage between events") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(1, &[]).await;
        let (bed, keys, garbage) = (hall.bed().await, keys(3), garbage());
        let ledger = Ledger::open(&bed.pool).await;
        let mut follower = hall.follow(bed.log.as_ref()).await;
        let mut version = 0;
        for (message, _) in &garbage {
            version += 1;
            publish(&bed, &keys, version..=version).await;
            positions(follower.as_mut(), keys.len()).await;
            produce(&hall, std::slice::from_ref(message));
        }
        produce_with_header_named(&hall, b"\xff\xfe", b"nameless").await;
        // An event by its headers, and no such message inside; another one that a newer program knows.
        let sick = Uuid::now_v7().to_string();
        let undecodable = Plain::new(sick.as_bytes(), &[0xff; 9]).event_but("ce_subject", sick.as_bytes());
        let newer = Plain::new(b"k", b"v").event_but("ce_type", b"OrderTeleported");
        let no_trace = Plain::new(b"k", b"").event_but("", b"").header("traceparent", b"\0");
        produce(&hall, &[undecodable.clone(), newer, no_trace]);
        version += 1;
        publish(&bed, &keys, version..=version).await;

        let member = hall.member(&bed.pool, &ledger);
        for key in &keys {
            ledger.until(*key, 1..=version).await;
        }
        let kept = unreadable(&bed.pool).await;
        assert_eq!(kept.len(), garbage.len() + 1);
        for (n, (kept, (message, problem))) in kept.iter().zip(&garbage).enumerate() {
            assert_eq!((&plain(kept), kept.error.as_str()), (message, *problem));
            let offset = 3 * (n as i64 + 1) + n as i64;
            assert_eq!((kept.partition, kept.offset, kept.attempts, kept.state), (0, offset, 1, State::Dead));
            assert_eq!((kept.topic.as_str(), kept.consumer.as_str()), ("orders.events.v1", "members"));
        }
        let nameless = kept.last().unwrap();
        assert_eq!(nameless.error, "a header's name is no text");
        assert_eq!(nameless.message.value.as_deref(), Some(&b"nameless"[..]));
        assert_eq!(nameless.message.headers, [RawHeader { name: None, value: None }]);
        let letter = eventually(|| async { letters(&bed.pool).await.pop() }).await;
        assert_eq!(
            (letter.key.to_string(), letter.attempts, letter.data.as_ref()),
            (sick, 5, &[0xff; 9][..])
        );
        let before = eventually(|| async {
            let (committed, end) = standing(&hall);
            (committed == Some(end)).then_some(end)
        })
        .await;
        assert_eq!(before, 3 * i64::from(version) + garbage.len() as i64 + 4);
        member.leave().await;

        // Everything comes again.
        rewind(&hall);
        publish(&bed, &keys, version + 1..=version + 1).await;
        let again = hall.member(&bed.pool, &ledger);
        for key in &keys {
            ledger.until(*key, 1..=version + 1).await;
        }
        let ids = |kept: &[UnreadableMessage]| kept.iter().map(|kept| kept.id).collect::<Vec<_>>();
        assert_eq!(ids(&unreadable(&bed.pool).await), ids(&kept), "each is kept once");
        assert_eq!(letters(&bed.pool).await.len(), 1);
        again.leave().await;

        // And so it stands on the topic of letters: what came first, what became of it behind.
        let topic = format!("{}orders.dlq.v1", hall.config.prefix);
        let published = read(&hall, &topic, kept.len() + 1).await;
        let of_id = |message: Plain| {
            let id = String::from_utf8(message.of_name("dlq_id").unwrap().to_vec()).unwrap();
            (id.parse().unwrap(), message)
        };
        let published: BTreeMap<Uuid, Plain> = published.into_iter().map(of_id).collect();
        for kept in &kept {
            let (original, copy) = (plain(kept), &published[&kept.id]);
            assert_eq!((&copy.key, &copy.value), (&original.key, &original.value));
            let named: Vec<_> = original.headers.into_iter().filter(|(name, _)| !name.is_empty()).collect();
            assert_eq!(copy.headers[..named.len()], named);
            let text = |name| std::str::from_utf8(copy.of_name(name).unwrap()).unwrap().to_owned();
            assert_eq!(
                (text("dlq_consumer"), text("dlq_topic")),
                ("members".into(), "orders.events.v1".into())
            );
            assert_eq!((text("dlq_partition"), text("dlq_offset")), ("0".into(), kept.offset.to_string()));
            assert_eq!(
                (text("dlq_attempts"), text("dlq_recorded_at")),
                ("1".into(), kept.recorded_at.to_string())
            );
            assert!(text("dlq_error").contains(&kept.error), "{}", text("dlq_error"));
        }
        let copy = &published[&letter.id];
        assert_eq!((&copy.key, &copy.value), (&undecodable.key, &undecodable.value));
        for (name, value) in &undecodable.headers {
            assert_eq!(copy.of_name(name), value.as_deref(), "{name}");
        }
        assert_eq!(
            (copy.of_name("dlq_attempts"), copy.of_name("dlq_position")),
            (Some(&b"5"[..]), Some(&b"1"[..]))
        );
    });
}

#[test]
fn what_can_be_read_by_now_is_handled_and_the_rest_stays() {
    if !wanted("messages that are read again") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(1, &[]).await;
        let bed = hall.bed().await;
        let ledger = Ledger::open(&bed.pool).await;
        let key = Uuid::now_v7();
        let broken = Plain::new(b"k", b"").event_but("ce_subject", key.to_string().as_bytes());
        let broken = broken.header("ce_time", b"soon");
        produce(&hall, &[Plain::new(b"who", b"hello"), broken]);
        let member = hall.member(&bed.pool, &ledger);
        let kept = eventually(|| async {
            let kept = unreadable(&bed.pool).await;
            (kept.len() == 2).then_some(kept)
        })
        .await;
        let [hello, soon] =
            [DeadLetter::Unreadable(kept[0].clone()), DeadLetter::Unreadable(kept[1].clone())];
        // What a newer program can read: here the row is mended instead.
        let mended = sqlx::query(
            "update unreadable_messages set headers =
                (select jsonb_agg(h) from jsonb_array_elements(headers) h where h->>'value' <> encode('soon', 'base64'))
             where id = $1",
        );
        mended.bind(soon.id()).execute(&bed.pool).await.unwrap();
        for letter in [&hello, &soon] {
            assert!(dead_letters::redrive_any(&bed.pool, letter).await.unwrap());
        }
        ledger.until(key, 1..=1).await;
        let left = eventually(|| async {
            let left = unreadable(&bed.pool).await;
            (left.len() == 1 && left[0].state == State::Dead).then_some(left)
        })
        .await;
        assert_eq!((left[0].id, left[0].attempts, left[0].errors.len()), (hello.id(), 2, 2));
        assert_eq!(letters(&bed.pool).await.len(), 0);
        assert!(dead_letters::discard(&bed.pool, &hello).await.unwrap());
        assert!(!dead_letters::discard(&bed.pool, &hello).await.unwrap(), "it is gone");
        member.leave().await;
    });
}

#[test]
fn a_flood_of_garbage_is_bounded_and_passed() {
    if !wanted("a flood of garbage") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(1, &[]).await;
        let (bed, key) = (hall.bed().await, keys(1));
        let ledger = Ledger::open(&bed.pool).await;
        let flood: Vec<_> = (0..1_100).map(|n: i32| Plain::new(b"k", &n.to_be_bytes())).collect();
        produce(&hall, &flood);
        publish(&bed, &key, 1..=1).await;
        let member = hall.member(&bed.pool, &ledger);
        ledger.until(key[0], 1..=1).await;
        let kept = unreadable(&bed.pool).await;
        assert_eq!(kept.len(), 1_000);
        assert!(kept.iter().all(|kept| kept.offset < 1_000), "the first ones");
        eventually(|| async { (standing(&hall) == (Some(1_101), 1_101)).then_some(()) }).await;
        member.leave().await;
    });
}

#[test]
fn letters_wait_for_brokers_that_are_away() {
    if !wanted("letters without brokers") {
        return;
    }
    run(async {
        let mut broker = own_broker(&[]).await;
        let hall = Hall::on(&broker.brokers());
        let bed = hall.bed().await;
        broker.kill();
        let id = Uuid::now_v7();
        let row = sqlx::query(
            "insert into dead_letters (consumer, event_id, topic, position, key, version, kind, data, occurred_at, state, attempts, error)
             values ('members', $1, 'orders.events.v1', 1, $1, 1, 'OrderCompleted', 'x', now(), 'dead', 5, 'too hot')",
        );
        row.bind(id).execute(&bed.pool).await.unwrap();
        let published = || async {
            sqlx::query_scalar("select published_at is not null from dead_letters")
                .fetch_one(&bed.pool)
                .await
                .unwrap()
        };
        assert!(!published().await);
        let _broker = on_a_blocking_thread(move || {
            broker.restart().unwrap();
            broker
        })
        .await;
        let topic = format!("{}orders.dlq.v1", hall.config.prefix);
        let copy = read(&hall, &topic, 1).await.remove(0);
        assert_eq!(copy.of_name("dlq_id"), Some(id.to_string().as_bytes()));
        eventually(|| async { published().await.then_some(()) }).await;
    });
}
