//! Durable deadlines: every waiting state has its `due_at` in the database, and this task keeps the promise, also for
//! orders that nobody has touched since a crash.

use std::time::Duration;

use tokio::time;
use viscount_actors::Router;

use super::{OrderActor, Request};
use crate::{
    domain::{CancelledBy, Command},
    store::Orders,
};

const LOOK: Duration = Duration::from_millis(500);
const AT_ONCE: i64 = 500;

/// Cancels orders whose state has waited too long. Harmless when several replicas do it at once.
pub async fn cancel_overdue(orders: Orders, router: Router<OrderActor>) -> Result<(), sqlx::Error> {
    let mut pace = time::interval(LOOK);
    pace.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let overdue = match orders.due(AT_ONCE).await {
            Ok(overdue) => overdue,
            Err(error) => {
                tracing::debug!(%error, "deadlines cannot be read");
                continue;
            }
        };
        for id in overdue {
            let cancel = Command::Cancel {
                by: CancelledBy::Deadline,
                reason: "what the order waited for did not come in time".to_owned(),
            };
            let asked = router.ask(id, Duration::from_secs(10), |reply| Request {
                command: cancel,
                cause: None,
                claim: None,
                traceparent: None,
                reply,
            });
            match asked.await {
                Ok(Ok(order)) => tracing::info!(order = %id, status = %order.status, "deadline passed"),
                Ok(Err(refusal)) => tracing::warn!(order = %id, %refusal, "an overdue order could not be cancelled"),
                Err(error) => tracing::warn!(order = %id, %error, "an overdue order could not be asked"),
            }
        }
    }
}
