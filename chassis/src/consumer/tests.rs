//! What is left over of a partition that went and came back. On real brokers it takes a rebalance at the wrong moment.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use sqlx::{PgPool, migrate::Migrator};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;
use viscount_actors::{Intensity, Supervisor};
use viscount_contracts::{Envelope, EventId, Topic};

use super::{ConsumerSpec, HandleError, Handler, dead_letters::DeadLetters, start};
use crate::{
    dead_letters::Tries,
    devpg::testing::test_database,
    log::{
        Batch, BoxFuture, Deliveries, Delivery, EventLog, LogError, LogReader, Member, Place, Publisher,
        Revoked, Start, Subscription,
    },
    store::{Database, DatabaseConfig, DatabaseError, EventStore},
    testing::{eventually, run},
};

static NO_MIGRATIONS: Migrator = Migrator::DEFAULT;

/// Gives what it is told to give.
#[derive(Clone, Default)]
struct Script {
    next: Arc<Mutex<VecDeque<Delivery>>>,
    news: Arc<Notify>,
}

impl Script {
    fn give(&self, delivery: Delivery) {
        self.next.lock().push_back(delivery);
        self.news.notify_one();
    }
}

impl EventLog for Script {
    fn publisher(&self, _: EventStore) -> Arc<dyn Publisher> {
        unreachable!("nobody publishes")
    }

    fn subscribe(&self, _: Member) -> BoxFuture<'_, Result<Subscription, LogError>> {
        let (deliveries, place) = (Box::new(self.clone()), Box::new(Nowhere));
        Box::pin(async { Ok(Subscription { deliveries, place }) })
    }

    fn follow(&self, _: Topic, _: Start) -> BoxFuture<'_, Result<Box<dyn LogReader>, LogError>> {
        unreachable!("nobody follows")
    }
}

impl Deliveries for Script {
    fn next(&mut self, _: usize) -> BoxFuture<'_, Result<Delivery, LogError>> {
        Box::pin(async {
            loop {
                if let Some(delivery) = self.next.lock().pop_front() {
                    return Ok(delivery);
                }
                self.news.notified().await;
            }
        })
    }
}

struct Nowhere;

impl Place for Nowhere {
    fn save<'a>(&'a self, _: &'a [(i32, i64)]) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Takes its time for the first version.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<Mutex<Vec<i32>>>,
    go_on: Arc<Notify>,
}

impl Handler for Slow {
    fn wants(&self, _: &Envelope) -> bool {
        true
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let slow = self.clone();
        async move {
            slow.begun.lock().push(event.version);
            if event.version == 1 {
                slow.go_on.notified().await;
            }
            Ok(())
        }
    }
}

fn event(key: Uuid, version: i32) -> Arc<Envelope> {
    Arc::new(Envelope {
        id: EventId::from(Uuid::now_v7()),
        topic: Topic::Orders,
        position: version.into(),
        key,
        version,
        kind: Topic::Orders.kind_named("OrderCompleted"),
        occurred_at: Timestamp::now(),
        traceparent: None,
        data: Bytes::new(),
    })
}

async fn letters(pool: &PgPool) -> Vec<(i32, String)> {
    let letters = sqlx::query_as("select version, state from dead_letters order by version");
    letters.fetch_all(pool).await.unwrap()
}

#[test]
fn an_event_waits_behind_a_parked_one_though_an_older_one_is_still_in_hand_from_before() {
    run(async {
        let database = test_database("consumer", |url| async move {
            let database = Database::lazy(&DatabaseConfig::new(url))?;
            database.migrate(&NO_MIGRATIONS).await?;
            database.close().await;
            Ok::<_, DatabaseError>(())
        });
        let pool = PgPool::connect(&database.await.url).await.unwrap();
        let (script, slow, key) = (Script::default(), Slow::default(), Uuid::now_v7());
        let spec = ConsumerSpec::new("c", Topic::Orders);
        let tree = Supervisor::root("consumer", Intensity::default(), |_| {});
        let (handler, log) = (slow.clone(), Arc::new(script.clone()));
        start(&tree, "consume", spec.clone(), pool.clone(), log, move || handler.clone());

        let (first, second, third) = (event(key, 1), event(key, 2), event(key, 3));
        script.give(Delivery::Events(Batch::whole(vec![first.clone()])));
        eventually(|| async { (*slow.begun.lock() == [1]).then_some(()) }).await;

        // It goes, and the other member gives the first one up and parks the second behind it.
        let (revoked, gone) = Revoked::until(vec![0], Instant::now());
        script.give(Delivery::Revoked(revoked));
        eventually(|| async {
            gone.try_recv()
                .is_err_and(|error| error == std::sync::mpsc::TryRecvError::Disconnected)
                .then_some(())
        })
        .await;
        let mut other = DeadLetters::unknown();
        let failure = super::Failure { attempts: 1, tries: Tries::default() };
        other.bury(&pool, &spec, &first, &failure).await.unwrap();
        other.park(&pool, &spec, &second).await.unwrap();

        // It comes back.
        script.give(Delivery::Events(Batch::whole(vec![third])));
        let parked = |version| (version, "parked".to_owned());
        eventually(|| async { (letters(&pool).await.len() == 3).then_some(()) }).await;
        assert_eq!(letters(&pool).await, [(1, "dead".to_owned()), parked(2), parked(3)]);
        slow.go_on.notify_one();
        script.give(Delivery::Events(Batch::whole(vec![event(Uuid::now_v7(), 4)])));
        eventually(|| async { slow.begun.lock().contains(&4).then_some(()) }).await;
        assert_eq!(*slow.begun.lock(), [1, 4]);
    });
}
