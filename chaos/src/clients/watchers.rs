//! The journey `streams`: as many open websockets as wanted, some of which hardly read, on orders whose payment takes its
//! time. Orders are placed only while watchers wait for one.

use std::sync::Arc;

use rand::RngExt;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};
use uuid::Uuid;

use super::{
    book::order_of,
    follow::{Follow, follow},
    world::World,
};
use crate::history::{Outcome, Wanted};

/// The provider takes its time for these.
const PAYS: &str = "tok_slow";
/// Nothing is watched for longer.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Watches until the load ends.
pub async fn run(world: &Arc<World>, products: &Arc<Vec<Uuid>>) {
    let (orders, to_watch) = mpsc::channel(world.load.watchers_per_order as usize);
    let to_watch = Arc::new(Mutex::new(to_watch));
    let mut tasks = JoinSet::new();
    for number in 0..world.load.watchers {
        tasks.spawn(watcher(world.clone(), u64::from(number), to_watch.clone()));
    }
    place(world, products, orders).await;
    // Streams end with the load: nobody waits for what they would still tell.
    tasks.shutdown().await;
}

/// Places orders, each told to as many watchers as shall watch it; waits while all have one.
async fn place(world: &Arc<World>, products: &Arc<Vec<Uuid>>, orders: mpsc::Sender<(Uuid, usize)>) {
    let every = Duration::from_secs_f64(1.0 / world.load.rate);
    let mut placing = JoinSet::new();
    let mut next = Instant::now();
    for number in 0_u64.. {
        next = Instant::now().max(next + every);
        let free = async {
            sleep_until(next).await;
            orders.reserve_many(1).await.is_ok()
        };
        if world.stop.or(free).await != Some(true) {
            break;
        }
        while placing.try_join_next().is_some() {}
        let (world, products, orders) = (world.clone(), products.clone(), orders.clone());
        placing.spawn(async move {
            let mut random = world.random(number);
            let buyer = random.random_range(0..world.buyers.len());
            let product = products[random.random_range(0..products.len())];
            let key = format!("{}-{number}", world.run);
            let question = world.order(buyer, key, vec![Wanted { product, quantity: 1 }], PAYS);
            let outcome = world.ask(world.new_client(), question, &mut random).await;
            let Outcome::Ok { body, .. } = outcome else { return };
            let Some(order) = order_of(&body) else { return };
            for _ in 0..world.load.watchers_per_order {
                if orders.send((order, buyer)).await.is_err() {
                    return;
                }
            }
        });
    }
    placing.shutdown().await;
}

async fn watcher(world: Arc<World>, number: u64, orders: Arc<Mutex<mpsc::Receiver<(Uuid, usize)>>>) {
    let mut random = world.random(u64::MAX - number);
    let slow = random.random::<f64>() < world.load.slow_readers;
    let how = Follow { after: 0, leave_after: None, pause: slow.then_some(world.load.slow_pause) };
    loop {
        let next = orders.lock().await.recv().await;
        let Some((order, buyer)) = next else { return };
        follow(&world, order, buyer, &how, LONGEST).await;
    }
}
