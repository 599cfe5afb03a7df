//! When the load and the faults are over: what is unanswered is asked once more, and every order is read until it is final.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    book::{Known, Question, is_answer, order_of},
    follow::{Follow, follow},
    world::World,
};
use crate::history::{Call, Outcome};

/// So many ask side by side.
const SIDE_BY_SIDE: usize = 32;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// After a look at an order that is not final.
const LOOK: Duration = Duration::from_millis(100);
/// How long one order is followed before others have their turn.
const TURN: Duration = Duration::from_secs(2);
/// The least time for a stream that has nothing new to tell.
const LEAST: Duration = Duration::from_secs(1);
/// Every order is read at least once, and again while nobody answers; how long that may go on beyond the time in which
/// orders have to be final.
const READING: Duration = Duration::from_secs(60);

/// What a look at an order has shown.
enum Look {
    /// It is final, and its money is where it belongs.
    Final,
    /// It is not.
    Open,
    /// Nothing: the question was not answered.
    Unread,
}

/// Asks what is unanswered, then reads every order back until it is final and its money is where it belongs. Each has
/// `within` of its own: an order may have been accepted only when its buyer asked once more.
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
    let until = Instant::now() + within;
    let orders = Queue::new(world.book().orders());
    side_by_side(
        |client| {
            let orders = &orders;
            async move {
                while let Some(order) = orders.next() {
                    match look(world, client, order, until).await {
                        Look::Final => world.counts().last_final = Some(Timestamp::now()),
                        Look::Open if Instant::now() >= until => world.counts().not_final.push(order),
                        Look::Unread if Instant::now() >= until + READING => {
                            world.counts().unread.push(order);
                        }
                        Look::Open | Look::Unread => {
                            // The others come first: one that hangs holds nobody up.
                            orders.put_last(order);
                            sleep(LOOK).await;
                        }
                    }
                }
            }
        },
        world,
    )
    .await;
    let mut counts = world.counts();
    counts.not_final.sort_unstable();
    counts.unread.sort_unstable();
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
            let named = match question.call {
                Call::PlaceOrder { key, .. }
                | Call::Refund { key, .. }
                | Call::Adjust { key, .. }
                | Call::CreateProduct { key, .. } => key,
                Call::Cancel { order, .. } => format!("cancel of {order}"),
                Call::ReadOrder { order, .. } => format!("read of {order}"),
            };
            world.counts().unanswered.push(named);
            return;
        }
        sleep(answer.retry_after.unwrap_or(PAUSE).min(8 * PAUSE)).await;
        door += 1;
    }
}

/// Reads an order. Whether its money is still on its way back only its stream says: it ends when the order has settled.
async fn look(world: &World, client: u32, order: Uuid, until: Instant) -> Look {
    let Some(Known { buyer, .. }) = world.book().order(order).cloned() else { return Look::Final };
    if Instant::now() >= until + READING {
        return Look::Unread;
    }
    let read = || async {
        let answer = world.ask_once(client, &world.read(order, buyer), order.as_u128() as usize).await;
        matches!(answer.outcome, Outcome::Ok { .. })
    };
    if !read().await {
        return Look::Unread;
    }
    let Some(Known { status, money, .. }) = world.book().order(order).cloned() else { return Look::Final };
    if !status.is_final() {
        return Look::Open;
    }
    if !money {
        return Look::Final;
    }
    let left = until.saturating_duration_since(Instant::now()).clamp(LEAST, TURN);
    let whole = Follow { after: 0, leave_after: None, pause: None };
    // What its money's return has made of it is read as well.
    match follow(world, order, buyer, &whole, left).await {
        true if read().await => Look::Final,
        true => Look::Unread,
        false => Look::Open,
    }
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

    fn put_last(&self, work: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(work);
    }
}
