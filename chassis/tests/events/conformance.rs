//! What every engine of the event log promises. An engine passes by running [`suite`] against it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::timeout;
use uuid::Uuid;
use viscount_chassis::log::{EventLog, LogReader};
use viscount_contracts::{Envelope, Topic};

/// An engine under test, with a way to publish and to begin anew as after `kill -9`.
pub trait Engine {
    fn log(&self) -> Arc<dyn EventLog>;
    /// Commits and publishes one event each of these (key, version).
    async fn publish(&self, events: &[(Uuid, i32)]);
    /// The engine as a new process would find it: nothing but what was durable.
    async fn restarted(&self) -> Arc<dyn EventLog>;
}

pub async fn suite(engine: &impl Engine) {
    let keys: Vec<_> = (0..7).map(|_| Uuid::now_v7()).collect();
    let mut versions: HashMap<Uuid, i32> = HashMap::new();
    let mut published = 0;
    let mut live = engine.log().reader(Topic::Orders, 0);
    let mut slow = engine.log().reader(Topic::Orders, 0);
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
    // Each reader sees everything, in order, whatever the other does.
    let all = read(live.as_mut(), published, 100).await;
    in_order(&all);
    let same = read(slow.as_mut(), published, 1).await;
    assert!(all == same, "two readers should see the same");
    // From any position.
    for after in [0, 1, published as i64 / 2, published as i64 - 1] {
        let mut reader = engine.log().reader(Topic::Orders, after);
        let rest = read(reader.as_mut(), published - after as usize, 64).await;
        assert!(rest == all[after as usize..], "a replay from {after} should give the same");
    }
    // Nothing more than there is; a dropped wait loses nothing.
    let waiting = timeout(Duration::from_millis(50), live.next(10)).await;
    assert!(waiting.is_err(), "there should be nothing more");
    engine.publish(&[(keys[0], versions[&keys[0]] + 1)]).await;
    assert_eq!(read(live.as_mut(), 1, 10).await[0].position, published as i64 + 1);
    // As a new process finds it.
    let log = engine.restarted().await;
    assert_eq!(log.head(Topic::Orders).await.unwrap(), published as i64 + 1);
    let mut reader = log.reader(Topic::Orders, 0);
    assert!(read(reader.as_mut(), published, 100).await == all, "a new process should see the same");
}

async fn read(reader: &mut dyn LogReader, wanted: usize, at_once: usize) -> Vec<Arc<Envelope>> {
    let mut events = Vec::new();
    while events.len() < wanted {
        let more = timeout(Duration::from_secs(10), reader.next(at_once.min(wanted - events.len()))).await;
        events.extend(more.expect("the reader should go on").unwrap());
    }
    events
}

fn in_order(events: &[Arc<Envelope>]) {
    let mut versions: HashMap<Uuid, i32> = HashMap::new();
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, position);
        let version = versions.entry(event.key).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "events of one key keep their order");
    }
}
