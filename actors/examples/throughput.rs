//! How many messages a second pass from askers to entities, through one router on one arbiter.
//!
//! `cargo run --release -p viscount-actors --example throughput`

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use viscount_actors::{Entity, Intensity, LoadError, Next, Origin, Reply, Router, RouterSpec, Supervisor};

const DEADLINE: Duration = Duration::from_secs(60);

/// The least an entity can do: count and answer.
struct Counter {
    count: u64,
}

enum Count {
    AndTell(Reply<u64>),
    Silently,
}

impl Entity for Counter {
    const KIND: &'static str = "counter";
    type Id = u64;
    type Env = ();
    type Message = Count;

    async fn load(_: u64, (): (), _: Origin) -> Result<Counter, LoadError> {
        Ok(Counter { count: 0 })
    }

    async fn handle(&mut self, messages: Vec<Count>) -> Next {
        for message in messages {
            self.count += 1;
            if let Count::AndTell(reply) = message {
                reply.send(self.count);
            }
        }
        Next::Continue
    }
}

/// `askers` tasks ask `each` questions one after another; `entities` share them.
async fn ask_from_here(router: &Router<Counter>, askers: u64, each: u64, entities: u64) -> u64 {
    let tasks = (0..askers).map(|asker| {
        let router = router.clone();
        actix_rt::spawn(async move {
            let mut answered = 0;
            for number in 0..each {
                let id = (asker * 7919 + number) % entities;
                answered += u64::from(router.ask(id, DEADLINE, Count::AndTell).await.is_ok());
            }
            answered
        })
    });
    join_all(tasks.collect::<Vec<_>>()).await.into_iter().map(|answered| answered.unwrap_or_default()).sum()
}

/// The same from a thread of its own with a runtime of its own.
async fn ask_from_elsewhere(router: &Router<Counter>, askers: u64, each: u64, entities: u64) -> u64 {
    let router = router.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        Ok::<u64, std::io::Error>(local.block_on(&runtime, ask_from_here(&router, askers, each, entities)))
    });
    asking.await.ok().and_then(Result::ok).unwrap_or_default()
}

/// Tells as fast as the bounds allow.
async fn tell_from_here(router: &Router<Counter>, messages: u64, entities: u64) -> u64 {
    let mut told = 0;
    for number in 0..messages {
        while router.tell(number % entities, Count::Silently).is_err() {
            tokio::task::yield_now().await;
        }
        told += 1;
    }
    while router.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    told
}

fn report(what: &str, messages: u64, began: Instant) {
    let took = began.elapsed();
    let rate = messages as f64 / took.as_secs_f64();
    println!("{what:<58} {messages:>9} in {:>6.2} s = {rate:>9.0}/s", took.as_secs_f64());
}

fn main() {
    actix_rt::System::new().block_on(async {
        let root = Supervisor::root("throughput", Intensity::default(), |exit| eprintln!("failed: {exit}"));
        let router = root.router::<Counter>((), RouterSpec { max_live: 200_000, ..RouterSpec::default() });
        for (what, askers, each, entities) in [
            ("ask, same thread, 1 asker, 1 entity", 1, 500_000, 1),
            ("ask, same thread, 64 askers, 1 entity", 64, 30_000, 1),
            ("ask, same thread, 512 askers, 1000 entities", 512, 4_000, 1000),
            ("ask, same thread, 4096 askers, 10000 entities", 4096, 500, 10_000),
        ] {
            let began = Instant::now();
            report(what, ask_from_here(&router, askers, each, entities).await, began);
        }
        for (what, askers, each, entities) in [
            ("ask, other thread, 64 askers, 1 entity", 64, 15_000, 1),
            ("ask, other thread, 512 askers, 1000 entities", 512, 2_000, 1000),
        ] {
            let began = Instant::now();
            report(what, ask_from_elsewhere(&router, askers, each, entities).await, began);
        }
        for (what, messages, entities) in [
            ("tell, same thread, 1 entity", 3_000_000, 1),
            ("tell, same thread, 1000 entities", 3_000_000, 1000),
        ] {
            let began = Instant::now();
            report(what, tell_from_here(&router, messages, entities).await, began);
        }
        let began = Instant::now();
        let new =
            join_all((1_000_000..1_008_000).map(|id| router.ask_new(id, DEADLINE, Count::AndTell))).await;
        report(
            "first message to a new entity",
            new.iter().filter(|answer| answer.is_ok()).count() as u64,
            began,
        );
        if let Err(error) = root.stop(Duration::from_secs(5)).await {
            eprintln!("{error}");
        }
    });
}
