//! A relay whose host has vanished, or that does not reach the brokers: another replica goes on.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, Row};
use uuid::Uuid;
use viscount_chassis::{
    devkafka::{
        DevKafka,
        testing::{on_a_blocking_thread, wanted},
    },
    log::{EventLog, kafka::KafkaLog},
    ports::free_port,
    store::{Committer, CommitterSpec, EventStore},
    testing::{EventsOnly, eventually, run},
};
use viscount_contracts::Topic;

use super::{
    hall::{Hall, keys, positions, publish},
    line::Line,
};
use crate::bed::{Bed, event};

/// Another replica of the publishing service, with connections of its own.
fn replica(bed: &Bed, pool: &PgPool, log: &dyn EventLog) -> Committer<()> {
    let store = EventStore::new(Topic::Orders, pool.clone());
    let publisher = log.publisher(store.clone());
    let spec = CommitterSpec::default();
    Committer::start(&bed.tree, store, pool.clone(), publisher, EventsOnly::default(), spec)
}

/// Who publishes, by the name of its connection; everybody else is sent away until it is this one.
async fn hand_to(bed: &Bed, name: &str) {
    let admin = PgPool::connect(&bed.admin_url).await.unwrap();
    let sql =
        "select a.application_name, case when a.application_name <> $1 then pg_terminate_backend(a.pid) end
               from pg_locks l join pg_stat_activity a using (pid)
               where l.locktype = 'advisory' and l.granted and a.datname = current_database()";
    eventually(|| async {
        let holders = sqlx::query(sql).bind(name).fetch_all(&admin).await.unwrap();
        holders.iter().any(|holder| holder.get::<String, _>(0) == name).then_some(())
    })
    .await;
}

#[test]
fn a_host_that_vanishes_does_not_keep_the_turn() {
    if !wanted("a host that vanishes") {
        return;
    }
    run(async {
        let hall = Hall::shared().await;
        let (bed, keys) = (hall.bed().await, keys(1));
        let mut follower = hall.follow(bed.log.as_ref()).await;
        let direct = bed.pool.connect_options();
        let line = Line::to(direct.get_port()).await;
        let far = direct.as_ref().clone().host("127.0.0.1").port(line.port).application_name("far");
        let far_pool = PgPool::connect_with(far).await.unwrap();
        let far_log = hall.log();
        let _far = replica(&bed, &far_pool, far_log.as_ref());
        hand_to(&bed, "far").await;
        publish(&bed, &keys, 1..=10).await;
        assert_eq!(positions(follower.as_mut(), 10).await, (1..=10).collect::<Vec<_>>());
        hand_to(&bed, "far").await;
        line.cut();
        publish(&bed, &keys, 11..=20).await;
        // From the beginning: what had arrived just before may come once more.
        let mut fresh = hall.follow(bed.log.as_ref()).await;
        assert_eq!(positions(fresh.as_mut(), 20).await, (1..=20).collect::<Vec<_>>());
    });
}

/// It has the database, so it would keep its turn for ever.
#[test]
fn a_relay_that_gets_no_answer_from_the_brokers_leaves_it_to_another() {
    if !wanted("a relay without brokers") {
        return;
    }
    run(async {
        let [near, through, behind, controller] = std::array::from_fn(|_| free_port().unwrap());
        let broker = on_a_blocking_thread(move || {
            DevKafka::start(&[
                &format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
                &format!(
                    "listeners=NEAR://127.0.0.1:{near},FAR://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}"
                ),
                &format!("advertised.listeners=NEAR://127.0.0.1:{near},FAR://127.0.0.1:{through}"),
                "inter.broker.listener.name=NEAR",
                "listener.security.protocol.map=NEAR:PLAINTEXT,FAR:PLAINTEXT,CONTROLLER:PLAINTEXT",
            ])
        });
        let _broker = broker.await.unwrap();
        let line = Line::from(through, behind).await;
        let hall = Hall::on(&format!("127.0.0.1:{near}"));
        hall.made(1, &[]).await;
        let mut far = hall.config.clone();
        far.brokers = format!("127.0.0.1:{through}");
        far.stuck_after = Duration::from_secs(1);
        let bed = Bed::on(Arc::new(KafkaLog::new(far).unwrap())).await;
        let near_log = hall.log();
        let mut follower = hall.follow(near_log.as_ref()).await;
        let key = [Uuid::now_v7()];
        publish(&bed, &key, 1..=10).await;
        assert_eq!(positions(follower.as_mut(), 10).await, (1..=10).collect::<Vec<_>>());
        let _near = replica(&bed, &bed.pool, near_log.as_ref());
        line.cut();
        bed.commit(vec![event(key[0], 11)]).await.unwrap();
        let mut fresh = hall.follow(near_log.as_ref()).await;
        assert_eq!(positions(fresh.as_mut(), 11).await, (1..=11).collect::<Vec<_>>());
    });
}
