//! A question on its way to an entity actor and back, through the one table of a router.

use std::time::Duration;

use actix_rt::{System, SystemRunner};
use futures_util::future::join_all;
use viscount_actors::{Entity, Intensity, LoadError, Next, Origin, Reply, Router, RouterSpec, Supervisor};

use crate::Run;

const DEADLINE: Duration = Duration::from_secs(60);
const CROWD: u64 = 64;

/// The least an entity can do: count and answer.
struct Counter {
    count: u64,
}

impl Entity for Counter {
    const KIND: &'static str = "counter";
    type Id = u64;
    type Env = ();
    type Message = Reply<u64>;

    async fn load(_: u64, (): (), _: Origin) -> Result<Self, LoadError> {
        Ok(Self { count: 0 })
    }

    async fn handle(&mut self, messages: Vec<Reply<u64>>) -> Next {
        for reply in messages {
            self.count += 1;
            reply.send(self.count);
        }
        Next::Continue
    }
}

/// One thread with a router on it, and one entity alive.
struct House {
    system: SystemRunner,
    router: Router<Counter>,
    _tree: Supervisor,
}

impl House {
    fn new() -> Self {
        let system = System::new();
        let (tree, router) = system.block_on(async {
            let tree = Supervisor::root("bench", Intensity::default(), |exit| panic!("{exit}"));
            // Never put to rest: under callgrind a second is a short time.
            let spec = RouterSpec { idle: Duration::from_secs(3600), ..RouterSpec::default() };
            let router = tree.router::<Counter>((), spec);
            assert_eq!(router.ask(7, DEADLINE, |reply| reply).await, Ok(1));
            (tree, router)
        });
        Self { system, router, _tree: tree }
    }
}

pub fn ask() -> Run {
    let house = House::new();
    Box::new(move |times| {
        house.system.block_on(async {
            for _ in 0..times {
                house.router.ask(7, DEADLINE, |reply| reply).await.unwrap();
            }
        });
    })
}

pub fn crowd() -> Run {
    let house = House::new();
    Box::new(move |times| {
        house.system.block_on(async {
            let mut left = times;
            while left > 0 {
                let asking = (0..left.min(CROWD)).map(|_| house.router.ask(7, DEADLINE, |reply| reply));
                assert!(join_all(asking).await.iter().all(Result::is_ok));
                left = left.saturating_sub(CROWD);
            }
        });
    })
}
