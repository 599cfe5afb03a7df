//! How many orders wait, and for how long: counted in the database, at a low rate.

use std::{convert::Infallible, time::Duration};

use metrics::gauge;
use tokio::time;

use crate::{
    domain::{Fulfilment, Status},
    metrics::{OPEN, STUCK},
    store::Orders,
};

const LOOK: Duration = Duration::from_secs(10);
/// How long the database may take for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// An order that has waited so long in one status is stuck: usually it is a tenth of a second.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Orders looked at in one count.
const MOST: i64 = 20_000;

/// Shows them for ever. Who waits for somebody outside is not stuck.
pub async fn count_open(orders: Orders, fulfilment: Fulfilment) -> Result<(), Infallible> {
    let shown = [Status::Created, Status::Validated, Status::Paid].map(|status| {
        let name = status.name();
        (status, gauge!(OPEN, "status" => name), gauge!(STUCK, "status" => name))
    });
    let mut looks = time::interval(LOOK);
    looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match time::timeout(PATIENCE, orders.waiting(STUCK_AFTER, MOST)).await {
            Ok(Ok(waiting)) => {
                for (status, open, stuck) in &shown {
                    let found = waiting.iter().find(|found| found.status == *status);
                    open.set(found.map_or(0.0, |found| found.open as f64));
                    let found =
                        found.filter(|_| *status != Status::Paid || fulfilment == Fulfilment::Immediate);
                    stuck.set(found.map_or(0.0, |found| found.stuck as f64));
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "waiting orders cannot be counted"),
            Err(_) => tracing::debug!("waiting orders cannot be counted in time"),
        }
    }
}
