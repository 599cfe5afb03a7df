//! When the load and the faults are over: what is unanswered is asked once more, and every order is read until it is final.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    book::{Question, is_answer, order_of},
    follow::{Follow, follow},
    world::World,
};
use crate::history::{Call, Outcome};

/// So many ask side by side.
const SIDE_BY_SIDE: usize = 32;
/// Between two tries, and between two looks at an order.
const PAUSE: Duration = Duration::from_millis(250);
/// Every order is read at least once; how long that may go on beyond the time in which orders have to be final.
const READING: Duration = Duration::from_secs(60);

/// Asks what is unanswered, then reads every order back until it is final and its money is where it belongs. Both end
/// after `within`.
pub async fn settle(world: &Arc<World>, within: Duration) {
    let until = Instant::now() + within;
    let open = Queue::new(world.book().unanswered());
    side_by_side(
        |client| {
            let open = &open;
            async move {
                while let Some((number, question)) = open.next() {
                    ask(world, client, number, question, until).await;
                }
            }
        },
        world,
    )
    .await;
    let orders = Queue::new(world.book().orders());
    side_by_side(
        |client| {
            let orders = &orders;
            async move {
                while let Some(order) = orders.next() {
                    if !is_final(world, client, order, until).await {
                        world.counts().not_final.push(order);
                    }
                }
            }
        },
        world,
    )
    .await;
    world.counts().not_final.sort_unstable();
}

/// Asks with the same key until it is answered.
async fn ask(world: &World, client: u32, number: u64, question: Question, until: Instant) {
    let mut door = question.door;
    loop {
        let answer = world.ask_once(client, &question, door).await;
        if is_answer(&answer.outcome) {
            let mut book = world.book();
            book.answered(number);
            // It is not counted as accepted in any second: the load has ended.
            if let (Call::PlaceOrder { .. }, Outcome::Ok { body, .. }) = (&question.call, &answer.outcome)
                && let Some(order) = order_of(body)
            {
                book.accepted(order, question.buyer);
            }
            return;
        }
        if Instant::now() >= until {
            if let Call::PlaceOrder { key, .. } | Call::Refund { key, .. } = question.call {
                world.counts().unanswered.push(key);
            }
            return;
        }
        sleep(answer.retry_after.unwrap_or(PAUSE).min(8 * PAUSE)).await;
        door += 1;
    }
}

/// Reads an order, at least once, until it is final. Whether its money is still on its way back only its stream says: it
/// ends when the order has settled.
async fn is_final(world: &World, client: u32, order: Uuid, until: Instant) -> bool {
    let Some(buyer) = world.book().order(order).map(|known| known.buyer) else { return true };
    if Instant::now() >= until + READING {
        return false;
    }
    let mut door = 0;
    let is_final = loop {
        let answer = world.ask_once(client, &world.read(order, buyer), door).await;
        let is_read = matches!(answer.outcome, Outcome::Ok { .. });
        let is_final = is_read && world.book().order(order).is_some_and(|known| known.status.is_final());
        if is_final || Instant::now() >= until {
            break is_final;
        }
        sleep(PAUSE).await;
        door += 1;
    };
    let money = world.book().order(order).is_some_and(|known| known.money);
    if !is_final || !money {
        return is_final;
    }
    let left = until.saturating_duration_since(Instant::now()).max(PAUSE);
    let whole = Follow { after: 0, leave_after: None, pause: None };
    let settled = follow(world, order, buyer, &whole, left).await;
    // What its money's return has made of it.
    world.ask_once(client, &world.read(order, buyer), door).await;
    settled
}

async fn side_by_side<F: Future<Output = ()>>(work: impl Fn(u32) -> F, world: &World) {
    join_all((0..SIDE_BY_SIDE).map(|_| work(world.new_client()))).await;
}

/// What is still to be done, taken by whoever has time.
struct Queue<T>(Mutex<VecDeque<T>>);

impl<T> Queue<T> {
    fn new(work: Vec<T>) -> Self {
        Self(Mutex::new(work.into()))
    }

    fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
