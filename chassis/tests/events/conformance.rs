//! What every engine of the event log promises. An engine passes by running [`suite`] against it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use sqlx::PgPool;
use tokio::time::timeout;
use uuid::Uuid;
use viscount_chassis::log::{Delivery, EventLog, LogReader, Member, Start, Subscription};
use viscount_contracts::{Envelope, EventId, Topic};

/// An engine under test, with a way to publish and to begin anew as after `kill -9`.
pub trait Engine {
    fn log(&self) -> Arc<dyn EventLog>;
    /// The database of those who join groups.
    fn pool(&self) -> PgPool;
    /// Commits and publishes one event each of these (key, version).
    async fn publish(&self, events: &[(Uuid, i32)]);
    /// The engine as a new process would find it: nothing but what was durable.
    async fn restarted(&self) -> Arc<dyn EventLog>;
}

/// Long enough for a group to form on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn suite(engine: &impl Engine) {
    let keys: Vec<_> = (0..7).map(|_| Uuid::now_v7()).collect();
    let mut versions: HashMap<Uuid, i32> = HashMap::new();
    let mut published = 0;
    for round in 0..40 {
        let events: Vec<_> = (0..round + 1)
            .map(|n| {
                let key = keys[(n * 3 + round) % keys.len()];
                let version = versions.entry(key).or_default();
                *version += 1;
                (key, *version)
            })
            .collect();
        engine.publish(&events).await;
        published += events.len();
    }
    // Each follower sees everything, in order per key, whatever the other does.
    let mut live = follow(engine.log().as_ref(), Start::Beginning).await;
    let mut slow = follow(engine.log().as_ref(), Start::Beginning).await;
    let all = read(live.as_mut(), published, 100).await;
    complete(&all, published);
    let same = read(slow.as_mut(), published, 1).await;
    complete(&same, published);
    let by_position = |events: &[Arc<Envelope>]| {
        let mut events = events.to_vec();
        events.sort_by_key(|event| event.position);
        events
    };
    assert!(by_position(&all) == by_position(&same), "two followers should see the same");
    // From now on: nothing of before, everything after.
    let mut newcomer = follow(engine.log().as_ref(), Start::Now).await;
    let waiting = timeout(Duration::from_millis(50), newcomer.next(10)).await;
    assert!(waiting.is_err(), "there should be nothing more");
    engine.publish(&[(keys[0], versions[&keys[0]] + 1)]).await;
    published += 1;
    // A dropped wait has lost nothing.
    for follower in [&mut newcomer, &mut live] {
        assert_eq!(read(follower.as_mut(), 1, 10).await[0].position, published as i64);
    }
    groups(engine, published).await;
    // As a new process finds it.
    let log = engine.restarted().await;
    let mut follower = follow(log.as_ref(), Start::Beginning).await;
    complete(&read(follower.as_mut(), published, 100).await, published);
    let mut rest = join(log.as_ref(), engine.pool(), "halfway").await;
    let first = take(&mut rest, 1).await;
    assert!(first.iter().all(|(.., event)| event.position > 0), "a group goes on");
}

/// A group goes on behind what it has saved, and no group knows of another.
async fn groups(engine: &impl Engine, published: usize) {
    let mut one = join(engine.log().as_ref(), engine.pool(), "halfway").await;
    let taken = take(&mut one, published).await;
    let mut ends: HashMap<i32, i64> = HashMap::new();
    let mut done: HashSet<EventId> = HashSet::new();
    for (partition, offset, event) in taken.iter().take(published / 2) {
        ends.insert(*partition, *offset);
        done.insert(event.id);
    }
    let saved: Vec<_> = ends.iter().map(|(partition, offset)| (*partition, *offset)).collect();
    one.place.save(&saved).await.unwrap();
    drop(one);
    standings(engine, &taken, &ends).await;
    let mut again = join(engine.log().as_ref(), engine.pool(), "halfway").await;
    let rest = take(&mut again, published - done.len()).await;
    assert!(rest.iter().all(|(.., event)| !done.contains(&event.id)), "what was saved does not come again");
    let mut other = join(engine.log().as_ref(), engine.pool(), "other").await;
    let all: Vec<_> = take(&mut other, published).await.into_iter().map(|(.., event)| event).collect();
    complete(&all, published);
}

/// Whoever asks hears where a group stands in the partition of a key, whether it is joined or not.
async fn standings(engine: &impl Engine, all: &[(i32, i64, Arc<Envelope>)], ends: &HashMap<i32, i64>) {
    for (partition, _, event) in all {
        let behind = |group: &'static str, end: Option<&i64>| {
            let left =
                all.iter().filter(|(of, offset, _)| of == partition && end.is_none_or(|end| offset > end));
            let left: Vec<_> = left.map(|(.., event)| event.occurred_at).collect();
            async move {
                let expected = (*partition, left.len() as i64, left.first().copied());
                // What a member has saved may reach the brokers a moment after it has left.
                viscount_chassis::testing::eventually(|| async {
                    let member = Member { consumer: group, topic: Topic::Orders, pool: engine.pool() };
                    let standing = engine.log().standing(member, event.key).await.unwrap();
                    ((standing.partition, standing.behind, standing.oldest) == expected).then_some(())
                })
                .await;
            }
        };
        // Each key once; its first event is as good as any.
        if event.version == 1 {
            behind("halfway", ends.get(partition)).await;
            behind("nobody", None).await;
        }
    }
}

async fn follow(log: &dyn EventLog, start: Start) -> Box<dyn LogReader> {
    viscount_chassis::testing::eventually(|| async { log.follow(Topic::Orders, start).await.ok() }).await
}

async fn join(log: &dyn EventLog, pool: PgPool, consumer: &'static str) -> Subscription {
    log.subscribe(Member { consumer, topic: Topic::Orders, pool }).await.unwrap()
}

/// Takes until so many different events have come.
async fn take(from: &mut Subscription, wanted: usize) -> Vec<(i32, i64, Arc<Envelope>)> {
    let mut seen = HashSet::new();
    let mut events = Vec::new();
    while seen.len() < wanted {
        let delivery = timeout(PATIENCE, from.deliveries.next(50)).await;
        if let Delivery::Events(batch) = delivery.expect("the group should go on").unwrap() {
            let partition = batch.partition;
            for (offset, event) in batch.into_records() {
                seen.insert(event.id);
                events.push((partition, offset, event));
            }
        }
    }
    events
}

/// Reads until so many different events have come.
async fn read(reader: &mut dyn LogReader, wanted: usize, at_once: usize) -> Vec<Arc<Envelope>> {
    let mut events: Vec<Arc<Envelope>> = Vec::new();
    let mut seen = HashSet::new();
    while seen.len() < wanted {
        let more = timeout(PATIENCE, reader.next(at_once)).await;
        for event in more.expect("the follower should go on").unwrap() {
            if seen.insert(event.id) {
                events.push(event);
            }
        }
    }
    events
}

/// Every position once, and each key's versions in order.
fn complete(events: &[Arc<Envelope>], published: usize) {
    let positions: BTreeSet<i64> = events.iter().map(|event| event.position).collect();
    assert!(positions.into_iter().eq(1..=published as i64), "no position is missing");
    let mut versions: HashMap<Uuid, i32> = HashMap::new();
    for event in events {
        let version = versions.entry(event.key).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "events of one key keep their order");
    }
}
