//! The embedded engine.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::time::timeout;
use uuid::Uuid;
use viscount_chassis::{
    log::{EmbeddedLog, EventLog, Start},
    store::EventStore,
    testing::run,
};
use viscount_contracts::Topic;

use crate::{
    bed::{Bed, entry, event},
    conformance::{Engine, suite},
};

struct Embedded(Bed);

impl Engine for Embedded {
    fn log(&self) -> Arc<dyn EventLog> {
        self.0.log.clone()
    }

    fn pool(&self) -> PgPool {
        self.0.pool.clone()
    }

    async fn publish(&self, events: &[(Uuid, i32)]) {
        let events = events.iter().map(|(key, version)| event(*key, *version)).collect();
        self.0.commit(events).await.unwrap();
    }

    async fn restarted(&self) -> Arc<dyn EventLog> {
        let log = EmbeddedLog::new();
        log.publisher(EventStore::new(Topic::Orders, self.0.pool.clone()));
        Arc::new(log)
    }
}

#[test]
fn the_embedded_engine_keeps_what_every_engine_promises() {
    run(async { suite(&Embedded(Bed::start().await)).await });
}

/// The outbox that reads past an uncommitted transaction, or never publishes after a crash.
#[test]
fn what_is_committed_elsewhere_is_seen_and_an_open_transaction_is_waited_for() {
    run(async {
        let bed = Bed::start().await;
        let mut reader = bed.log.follow(Topic::Orders, Start::Beginning).await.unwrap();
        // A process that died between commit and announcement: only the table knows.
        let mut open = bed.pool.begin().await.unwrap();
        let write = "with head as (update log_head set position = position + 1 returning position)
            insert into events (position, stream, version, event_id, kind, data, occurred_at)
            select position, $1, 1, gen_random_uuid(), 'OrderCompleted', '', now() from head";
        sqlx::query(write).bind(Uuid::now_v7()).execute(&mut *open).await.unwrap();
        let commit = bed.committer.commit(entry(vec![event(Uuid::now_v7(), 1)]));
        let behind = async {
            let early = timeout(Duration::from_millis(600), reader.next(10)).await;
            assert!(early.is_err(), "nothing may pass an open transaction");
            open.commit().await.unwrap();
        };
        let (committed, ()) = tokio::join!(commit, behind);
        committed.unwrap();
        let mut positions = Vec::new();
        while positions.len() < 2 {
            let events = timeout(Duration::from_secs(5), reader.next(10)).await.unwrap().unwrap();
            positions.extend(events.iter().map(|event| event.position));
        }
        assert_eq!(positions, [1, 2]);
    });
}
