//! Consumers: in order per key, at least once, poison parked, outages waited for.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use uuid::Uuid;
use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::{
    consumer::{self, ConsumerSpec, HandleError, Handler},
    log::{
        BoxFuture, Deliveries, Delivery, EventLog, LogError, LogReader, Member, Publisher, Start,
        Subscription,
    },
    store::EventStore,
    testing::{eventually, run},
};
use viscount_contracts::{Envelope, Topic};

use crate::bed::{Bed, event};

#[derive(Clone, Default)]
struct Notes {
    seen: Arc<Mutex<Vec<(Uuid, i32)>>>,
    poison: Arc<Mutex<HashSet<(Uuid, i32)>>>,
    away: Arc<Mutex<bool>>,
    panics: Arc<Mutex<u32>>,
}

impl Handler for Notes {
    fn wants(&self, _: &Envelope) -> bool {
        true
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let notes = self.clone();
        async move {
            tokio::task::yield_now().await;
            if *notes.away.lock() {
                return Err(HandleError::Away("lunch".into()));
            }
            if notes.poison.lock().contains(&(event.key, event.version)) {
                return Err(HandleError::Poison("cannot be".into()));
            }
            {
                let mut panics = notes.panics.lock();
                if *panics > 0 {
                    *panics -= 1;
                    drop(panics);
                    panic!("a handler's bug");
                }
            }
            notes.seen.lock().push((event.key, event.version));
            Ok(())
        }
    }
}

fn spec(consumer: &'static str) -> ConsumerSpec {
    let mut spec = ConsumerSpec::new(consumer, Topic::Orders);
    (spec.first_pause, spec.longest_pause) = (Duration::from_millis(1), Duration::from_millis(5));
    spec
}

fn tree() -> Supervisor {
    Supervisor::root("consumer", Intensity::default(), |_| {})
}

fn consume(bed: &Bed, tree: &Supervisor, consumer: &'static str) -> Notes {
    let notes = Notes::default();
    start(bed, tree, consumer, &notes);
    notes
}

fn start(bed: &Bed, tree: &Supervisor, consumer: &'static str, notes: &Notes) {
    let notes = notes.clone();
    consumer::start(tree, "consume", spec(consumer), bed.pool.clone(), bed.log.clone(), move || {
        notes.clone()
    });
}

async fn publish(bed: &Bed, keys: &[Uuid], versions: std::ops::RangeInclusive<i32>) {
    for version in versions {
        bed.commit(keys.iter().map(|key| event(*key, version)).collect()).await.unwrap();
    }
}

async fn until_seen(notes: &Notes, count: usize) {
    eventually(|| async { (notes.seen.lock().len() >= count).then_some(()) }).await;
}

async fn saved(bed: &Bed, consumer: &str) -> i64 {
    sqlx::query_scalar("select coalesce(max(position), 0) from consumer_offsets where consumer = $1")
        .bind(consumer)
        .fetch_one(&bed.pool)
        .await
        .unwrap()
}

#[test]
fn events_of_one_key_keep_their_order_and_groups_have_their_own_place() {
    run(async {
        let bed = Bed::start().await;
        let keys: Vec<_> = (0..20).map(|_| Uuid::now_v7()).collect();
        let tree = tree();
        let (one, two) = (consume(&bed, &tree, "one"), consume(&bed, &tree, "two"));
        publish(&bed, &keys, 1..=10).await;
        for notes in [&one, &two] {
            until_seen(notes, 200).await;
            let mut versions: HashMap<Uuid, i32> = HashMap::new();
            for (key, version) in notes.seen.lock().iter() {
                let last = versions.insert(*key, *version).unwrap_or(0);
                assert_eq!(*version, last + 1);
            }
        }
        eventually(|| async {
            (saved(&bed, "one").await == 200 && saved(&bed, "two").await == 200).then_some(())
        })
        .await;
    });
}

#[test]
fn a_consumer_goes_on_where_it_stood() {
    run(async {
        let bed = Bed::start().await;
        let key = Uuid::now_v7();
        let first = tree();
        let notes = consume(&bed, &first, "c");
        publish(&bed, &[key], 1..=5).await;
        eventually(|| async { (saved(&bed, "c").await == 5).then_some(()) }).await;
        first.stop(Duration::from_secs(5)).await.unwrap();
        publish(&bed, &[key], 6..=8).await;
        let second = tree();
        let later = consume(&bed, &second, "c");
        until_seen(&later, 3).await;
        assert_eq!(*later.seen.lock(), [(key, 6), (key, 7), (key, 8)]);
        assert_eq!(notes.seen.lock().len(), 5);
    });
}

/// The consumer that acknowledges although its handler failed, or whose next commit passes a failed event.
#[test]
fn an_outage_loses_no_event_and_buries_none() {
    run(async {
        let bed = Bed::start().await;
        let keys: Vec<_> = (0..5).map(|_| Uuid::now_v7()).collect();
        let tree = tree();
        let notes = consume(&bed, &tree, "c");
        *notes.away.lock() = true;
        publish(&bed, &keys, 1..=4).await;
        tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(saved(&bed, "c").await, 0);
        *notes.away.lock() = false;
        until_seen(&notes, 20).await;
        eventually(|| async { (saved(&bed, "c").await == 20).then_some(()) }).await;
    });
}

/// A poison message that blocks its partition for ever, or is skipped while later events of its key go on.
#[test]
fn poison_is_buried_its_followers_are_parked_and_neighbours_go_on() {
    run(async {
        let bed = Bed::start().await;
        let (sick, well) = (Uuid::now_v7(), Uuid::now_v7());
        let first = tree();
        let notes = consume(&bed, &first, "c");
        notes.poison.lock().insert((sick, 2));
        publish(&bed, &[sick, well], 1..=4).await;
        eventually(|| async { (saved(&bed, "c").await == 8).then_some(()) }).await;
        let seen = |notes: &Notes, key| {
            notes.seen.lock().iter().filter(|(k, _)| *k == key).map(|(_, v)| *v).collect::<Vec<_>>()
        };
        assert_eq!((seen(&notes, sick), seen(&notes, well)), (vec![1], vec![1, 2, 3, 4]));
        let letters = || async {
            sqlx::query_as::<_, (i32, String)>("select version, state from dead_letters order by version")
                .fetch_all(&bed.pool)
                .await
                .unwrap()
        };
        let parked = |version| (version, "parked".to_owned());
        assert_eq!(letters().await, [(2, "dead".to_owned()), parked(3), parked(4)]);
        // Also after a restart: the key stays parked.
        first.stop(Duration::from_secs(5)).await.unwrap();
        let second = tree();
        start(&bed, &second, "c", &notes);
        publish(&bed, &[sick, well], 5..=5).await;
        eventually(|| async { (saved(&bed, "c").await == 10).then_some(()) }).await;
        assert_eq!(letters().await.len(), 4);
        assert_eq!(seen(&notes, well).len(), 5);
    });
}

#[test]
fn a_panic_in_a_handler_is_one_failed_try() {
    run(async {
        let bed = Bed::start().await;
        let tree = tree();
        let notes = consume(&bed, &tree, "c");
        *notes.panics.lock() = 3;
        publish(&bed, &[Uuid::now_v7()], 1..=2).await;
        until_seen(&notes, 2).await;
    });
}

/// Handlers that use the consumer's own small pool: the consumer once waited for a connection to save its place while
/// the handlers that held all connections were not polled, until the wait timed out.
#[test]
fn handlers_that_hold_every_connection_do_not_stop_the_consumer_from_saving_its_place() {
    #[derive(Clone)]
    struct Busy(sqlx::PgPool);

    impl Handler for Busy {
        fn wants(&self, _: &Envelope) -> bool {
            true
        }

        fn handle(&self, _: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
            let pool = self.0.clone();
            async move {
                let mut connection =
                    pool.acquire().await.map_err(|error| HandleError::Away(error.to_string()))?;
                for _ in 0..3 {
                    sqlx::query("select 1").execute(&mut *connection).await.unwrap();
                }
                Ok(())
            }
        }
    }

    run(async {
        let bed = Bed::start().await;
        let options = bed.pool.connect_options().as_ref().clone();
        let small = sqlx::postgres::PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(60))
            .connect_with(options)
            .await
            .unwrap();
        let keys: Vec<_> = (0..400).map(|_| Uuid::now_v7()).collect();
        publish(&bed, &keys, 1..=5).await;
        let (tree, busy) = (tree(), Busy(small.clone()));
        consumer::start(&tree, "consume", spec("busy"), small, bed.log.clone(), move || busy.clone());
        eventually(|| async { (saved(&bed, "busy").await == 2_000).then_some(()) }).await;
    });
}

/// A log that counts how often a read of it is begun, and takes its time for each.
struct Counted {
    log: Arc<dyn EventLog>,
    begun: Arc<AtomicUsize>,
}

struct CountedDeliveries {
    deliveries: Box<dyn Deliveries>,
    begun: Arc<AtomicUsize>,
}

impl EventLog for Counted {
    fn publisher(&self, store: EventStore) -> Arc<dyn Publisher> {
        self.log.publisher(store)
    }

    fn subscribe(&self, member: Member) -> BoxFuture<'_, Result<Subscription, LogError>> {
        Box::pin(async move {
            let Subscription { deliveries, place } = self.log.subscribe(member).await?;
            let deliveries = CountedDeliveries { deliveries, begun: self.begun.clone() };
            Ok(Subscription { deliveries: Box::new(deliveries), place })
        })
    }

    fn follow(&self, topic: Topic, start: Start) -> BoxFuture<'_, Result<Box<dyn LogReader>, LogError>> {
        self.log.follow(topic, start)
    }
}

impl Deliveries for CountedDeliveries {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Delivery, LogError>> {
        Box::pin(async move {
            self.begun.fetch_add(1, Ordering::Relaxed);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            self.deliveries.next(max).await
        })
    }
}

/// Takes a little longer for each event, so that they come through one by one.
#[derive(Clone, Default)]
struct Ragged(Arc<AtomicUsize>);

impl Handler for Ragged {
    fn wants(&self, _: &Envelope) -> bool {
        true
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let handled = self.0.clone();
        async move {
            for _ in 0..event.position % 512 {
                tokio::task::yield_now().await;
            }
            handled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
}

/// A consumer that is behind once began its read of the table anew each time that an event was through.
#[test]
fn a_read_goes_on_while_events_come_through() {
    run(async {
        let bed = Bed::start().await;
        let keys: Vec<_> = (0..1_000).map(|_| Uuid::now_v7()).collect();
        publish(&bed, &keys, 1..=2).await;
        let (tree, ragged) = (tree(), Ragged::default());
        let begun = Arc::new(AtomicUsize::new(0));
        let log = Counted { log: bed.log.clone(), begun: begun.clone() };
        let handler = ragged.clone();
        consumer::start(&tree, "consume", spec("c"), bed.pool.clone(), Arc::new(log), move || {
            handler.clone()
        });
        eventually(|| async { (ragged.0.load(Ordering::Relaxed) == 2_000).then_some(()) }).await;
        let begun = begun.load(Ordering::Relaxed);
        assert!(begun < 200, "2,000 events took {begun} reads");
    });
}
