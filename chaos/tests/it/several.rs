//! Three brokers, of which one may be killed at any time.

use std::{collections::BTreeMap, time::Duration};

use chaos::{
    faults::{Bench, Body as _},
    platform::{Part, Plan, Platform},
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::bed::{Folder, Shop, block_on, brokers_are_wanted, viscount};

/// For a broker to be back, and to have all that it has missed.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn of_three_brokers_any_one_may_be_killed() {
    if !brokers_are_wanted("the rig on three brokers") {
        return;
    }
    block_on(async {
        let folder = Folder::new();
        let replicas = BTreeMap::from([("orders".to_owned(), 1), ("inventory".to_owned(), 1)]);
        let plan = Plan { brokers: 3, durable: true, replicas, ..Plan::new(viscount()) };
        let platform = Platform::start(plan, folder.path()).await.unwrap();
        let shop = Shop::open(&platform).await;
        shop.order().await;

        // Every topic of ours is on all three of them.
        let brokers = platform.brokers().unwrap();
        let prefix = platform.topic_prefix().to_owned();
        let copies = tokio::task::spawn_blocking(move || {
            let client: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
            let metadata = client.fetch_metadata(None, Duration::from_secs(20)).unwrap();
            let ours = metadata.topics().iter().filter(|topic| topic.name().starts_with(&prefix));
            ours.flat_map(|topic| topic.partitions().iter().map(|partition| partition.replicas().len()))
                .collect::<Vec<_>>()
        });
        let copies = copies.await.unwrap();
        assert!(!copies.is_empty() && copies.iter().all(|copies| *copies == 3), "{copies:?}");

        let bench = Bench::new(&platform).await.unwrap();
        for broker in platform.resolve("brokers").unwrap() {
            bench.kill(broker.name()).await.unwrap();
            shop.order().await;
            bench.until_in_sync(broker.name(), Duration::ZERO).await.unwrap_err();
            bench.start(broker.name(), PATIENCE).await.unwrap();
            bench.until_in_sync(broker.name(), PATIENCE).await.unwrap();
        }
        assert!(platform.is_running(&Part::new("broker-3")));
        assert_eq!(platform.deaths(), Vec::<String>::new());
        platform.stop().await.unwrap();
    });
}
