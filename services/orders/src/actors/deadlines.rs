//! Durable deadlines: with every order a look at it is promised in the database, and this task keeps the promise, also
//! for orders that nobody has touched since a crash.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time;
use viscount_actors::{AskError, Router};
use viscount_contracts::OrderId;

use super::{Deadlines, OrderActor, Request};
use crate::{
    domain::{Command, Status},
    store::Orders,
};

const LOOK: Duration = Duration::from_millis(500);
const PAGE: i64 = 5_000;
/// Orders asked at the same time: their commits share batches, and one that is slow does not hold up the others.
const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

/// Cancels orders whose status has waited too long. Harmless when several replicas do it at once.
pub async fn cancel_overdue(
    orders: Orders,
    router: Router<OrderActor>,
    deadlines: Deadlines,
) -> Result<(), sqlx::Error> {
    let mut pace = time::interval(LOOK);
    pace.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        match orders.due(&deadlines, PAGE).await {
            Ok(overdue) => {
                let expire = |(id, status)| expire(&router, id, status);
                stream::iter(overdue).for_each_concurrent(AT_ONCE, expire).await;
            }
            Err(error) => tracing::debug!(%error, "deadlines cannot be read"),
        }
    }
}

async fn expire(router: &Router<OrderActor>, id: OrderId, status: Status) {
    let asked = router.ask(id, PATIENCE, |reply| Request {
        command: Command::Expire { status },
        cause: None,
        claim: None,
        traceparent: None,
        reply,
    });
    match asked.await {
        Ok(Ok(told)) => tracing::info!(order = %id, status = %told.order.status, "deadline passed"),
        Ok(Err(refusal)) => tracing::warn!(order = %id, %refusal, "an overdue order could not be cancelled"),
        // It is known, and shown to those who run this.
        Err(error @ AskError::Quarantined { .. }) => tracing::debug!(order = %id, %error, "not expired"),
        Err(error) => tracing::warn!(order = %id, %error, "an overdue order could not be asked"),
    }
}
