//! The relay: one at a time, in order, nothing skipped.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AlterConfig, ResourceSpecifier},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;
use viscount_chassis::{
    devkafka::testing::wanted,
    log::EventLog,
    store::{Committer, CommitterSpec, EventStore},
    testing::{EventsOnly, eventually, run},
};
use viscount_contracts::Topic;

use super::hall::{Hall, keys, positions, publish};
use crate::bed::{Bed, entry, event};

/// Another replica of the publishing service: its own process as far as the engine is concerned.
fn replica(bed: &Bed, log: &dyn EventLog) -> Committer<()> {
    let store = EventStore::new(Topic::Orders, bed.pool.clone());
    let publisher = log.publisher(store.clone());
    let spec = CommitterSpec::default();
    Committer::start(&bed.tree, store, bed.pool.clone(), publisher, EventsOnly::default(), spec)
}

#[test]
fn of_two_replicas_one_publishes_and_the_other_takes_over() {
    if !wanted("a relay that is fenced") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let bed = hall.bed().await;
        let mut admin = PgConnection::connect(&bed.admin_url).await.unwrap();
        let mut follower = hall.follow(bed.log.as_ref()).await;
        let other_log = hall.log();
        let other = replica(&bed, other_log.as_ref());
        let key = Uuid::now_v7();
        let mut version = 0;
        for round in 1..=3 {
            for n in 0..100 {
                version += 1;
                let committer = if n % 2 == 0 { &bed.committer } else { &other };
                committer.commit(entry(vec![event(key, version)])).await.unwrap();
            }
            // The holder of the lock is cut off from the database: it must stop, and somebody go on.
            let cut: i64 = eventually(|| async {
                let cut = sqlx::query_scalar(
                    "select count(pg_terminate_backend(pid)) from pg_locks
                     where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())",
                );
                cut.fetch_one(&mut admin_again(&bed).await).await.ok().filter(|cut| *cut > 0)
            })
            .await;
            assert_eq!(cut, 1, "one holds the lock, in round {round}");
        }
        // One key: the order of first coming is the order of positions.
        assert_eq!(positions(follower.as_mut(), 300).await, (1..=300).collect::<Vec<_>>());
        let epochs: i64 =
            sqlx::query_scalar("select epoch from log_relay").fetch_one(&mut admin).await.unwrap();
        assert!(epochs >= 3, "{epochs} epochs");
    });
}

async fn admin_again(bed: &Bed) -> PgConnection {
    PgConnection::connect(&bed.admin_url).await.unwrap()
}

#[test]
fn an_event_that_is_too_large_holds_up_its_successors_until_the_topic_takes_it() {
    if !wanted("an event that is too large") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(2, &[("max.message.bytes", "4000")]).await;
        let bed = hall.bed().await;
        let mut follower = hall.follow(bed.log.as_ref()).await;
        let [before, large, after] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        bed.commit(vec![event(before, 1)]).await.unwrap();
        let mut too_large = event(large, 1);
        too_large.data = vec![7; 5_000];
        bed.commit(vec![too_large]).await.unwrap();
        bed.commit(vec![event(after, 1)]).await.unwrap();
        assert_eq!(positions(follower.as_mut(), 1).await, [1]);
        let early = timeout(Duration::from_secs(1), follower.next(10)).await;
        assert!(early.is_err(), "nothing may pass it");
        takes(&hall, 100_000).await;
        let mut rest = positions(follower.as_mut(), 2).await;
        rest.sort_unstable();
        assert_eq!(rest, [2, 3]);
    });
}

/// The topic takes less than it took when the relay began. What was sent behind the event that is refused must not
/// pass it.
#[test]
fn what_the_brokers_refuse_is_not_overtaken_by_later_versions() {
    if !wanted("an event that the brokers refuse") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(1, &[("max.message.bytes", "200000")]).await;
        let (bed, key) = (hall.bed().await, keys(1));
        let mut follower = hall.follow(bed.log.as_ref()).await;
        publish(&bed, &key, 1..=1).await;
        assert_eq!(positions(follower.as_mut(), 1).await, [1]);
        takes(&hall, 10_000).await;
        // From here on the database answers slowly: whoever has to ask it first would notice too late.
        let mut slow = bed.pool.begin().await.unwrap();
        sqlx::query("select position from log_relay for update").execute(&mut *slow).await.unwrap();
        publish(&bed, &key, 2..=2).await;
        let mut large = event(key[0], 3);
        // Nothing that compression could make small.
        large.data = (0..3_000).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
        bed.commit(vec![large]).await.unwrap();
        publish(&bed, &key, 4..=300).await;
        slow.rollback().await.unwrap();
        // The relay has begun anew, so the event was refused; and by now it sees that it is too large.
        eventually(|| async {
            let epoch: i64 =
                sqlx::query_scalar("select epoch from log_relay").fetch_one(&bed.pool).await.ok()?;
            (epoch > 1).then_some(())
        })
        .await;
        takes(&hall, 200_000).await;
        let mut fresh = hall.follow(bed.log.as_ref()).await;
        assert_eq!(positions(fresh.as_mut(), 300).await, (1..=300).collect::<Vec<_>>());
    });
}

/// Changes how large a message the topic takes.
async fn takes(hall: &Hall, bytes: u32) {
    let (name, bytes) = (hall.topic(), bytes.to_string());
    let topic = ResourceSpecifier::Topic(&name);
    let change = AlterConfig::new(topic).set("max.message.bytes", &bytes);
    hall.admin().alter_configs([&change], &Default::default()).await.unwrap()[0].as_ref().unwrap();
    eventually(|| async {
        let answer = hall.admin().describe_configs([&topic], &Default::default()).await.unwrap();
        let settings = answer.into_iter().next().unwrap().unwrap();
        let is = settings.entries.into_iter().find(|entry| entry.name == "max.message.bytes");
        (is.unwrap().value.as_deref() == Some(&*bytes)).then_some(())
    })
    .await;
}

/// A foreign producer, a broken header: told, skipped, and nobody else is harmed.
#[test]
fn what_is_no_event_of_ours_is_skipped() {
    if !wanted("messages that are no events") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        hall.made(1, &[]).await;
        let (bed, keys) = (hall.bed().await, keys(3));
        publish(&bed, &keys, 1..=1).await;
        let mut follower = hall.follow(bed.log.as_ref()).await;
        assert_eq!(positions(follower.as_mut(), 3).await, [1, 2, 3]);
        let foreign: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &hall.config.brokers).create().unwrap();
        foreign
            .send(BaseRecord::<str, str>::to(&hall.topic()).payload("hello").key("who"))
            .map_err(|_| ())
            .unwrap();
        foreign.flush(Duration::from_secs(10)).unwrap();
        publish(&bed, &keys, 2..=2).await;
        assert_eq!(positions(follower.as_mut(), 3).await, [4, 5, 6]);
    });
}
