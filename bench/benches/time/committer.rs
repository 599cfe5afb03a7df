//! Entries committed per second: alone, and as many at a time as a busy service has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_rt::System;
use criterion::{Criterion, Throughput};
use futures_util::future::join_all;
use jiff::Timestamp;
use sqlx::{PgPool, migrate::Migrator};
use uuid::Uuid;
use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::{
    devpg::testing::{TestServer, durable_server},
    log::{EmbeddedLog, EventLog},
    store::{Committer, CommitterSpec, Database, DatabaseConfig, DatabaseError, Entry, EventStore, NewEvent},
    testing::EventsOnly,
};
use viscount_contracts::{Topic, events::orders::v1::OrderCompleted};

static NO_MIGRATIONS: Migrator = Migrator::DEFAULT;

struct Bed {
    committer: Committer<()>,
    _log: Arc<EmbeddedLog>,
    _tree: Supervisor,
    _server: TestServer,
}

impl Bed {
    /// With fsync: without it a commit costs next to nothing, and grouping would gain nothing.
    async fn start() -> Self {
        let server = durable_server().await;
        let database = server
            .database("events", |url| async move {
                let database = Database::lazy(&DatabaseConfig::new(url))?;
                database.migrate(&NO_MIGRATIONS).await?;
                database.close().await;
                Ok::<_, DatabaseError>(())
            })
            .await;
        let pool = PgPool::connect(&database.url).await.unwrap();
        let log = Arc::new(EmbeddedLog::new());
        let tree = Supervisor::root("bench", Intensity::default(), |exit| panic!("{exit}"));
        let store = EventStore::new(Topic::Orders, pool.clone());
        let publisher = log.publisher(store.clone());
        let committer =
            Committer::start(&tree, store, pool, publisher, EventsOnly::default(), CommitterSpec::default());
        Self { committer, _log: log, _tree: tree, _server: server }
    }

    async fn commit_one(&self) {
        let stream = Uuid::now_v7();
        let completed = OrderCompleted { order_id: stream.to_string(), ..Default::default() };
        let events = vec![NewEvent::new(stream, 1, &completed, Timestamp::now())];
        self.committer.commit(Entry { events, inbox: None, projection: () }).await.unwrap();
    }
}

pub fn group_commit(criterion: &mut Criterion) {
    let system = System::new();
    let bed = system.block_on(Bed::start());
    let mut group = criterion.benchmark_group("committer");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    for at_once in [1_u64, 16, 256] {
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(format!("{at_once} at once"), |bencher| {
            bencher.iter_custom(|times| {
                system.block_on(async {
                    let began = Instant::now();
                    for _ in 0..times {
                        join_all((0..at_once).map(|_| bed.commit_one())).await;
                    }
                    began.elapsed()
                })
            });
        });
    }
    group.finish();
    let runtime = system.runtime().tokio_runtime().handle().clone();
    // Pooled connections are dropped inside of their runtime.
    let inside = runtime.enter();
    drop((bed, system));
    drop(inside);
}
