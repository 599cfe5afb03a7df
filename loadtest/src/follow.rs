//! After the load: every accepted order is followed to its final status.
//!
//! While orders are in motion only the three statuses that are not final are asked for, so that following costs next
//! to nothing; then all orders are listed once.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::Deserialize;
use viscount_contracts::OrderId;

use crate::{
    Failure,
    customers::Customers,
    load::{Load, histogram},
    shop::{Page, page, page_path},
    wire::{Connection, Target},
};

/// Statuses that an order does not stay in.
const IN_MOTION: [&str; 3] = ["created", "validated", "paid"];
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of the orders.
pub struct Followed {
    /// Accepted orders by status.
    pub statuses: BTreeMap<String, u64>,
    /// Accepted orders that are in no list.
    pub lost: Vec<OrderId>,
    /// Accepted orders that are not final yet.
    pub in_motion: Vec<OrderId>,
    /// Accepted orders that became final, but too late.
    pub late: u64,
    /// Orders in the lists that no client saw accepted.
    pub strangers: u64,
    /// Microseconds from creation to the final status.
    pub latency: Histogram<u64>,
    /// From the first order's creation to the last order's final status.
    pub span: Duration,
}

#[derive(Deserialize)]
struct Order {
    id: OrderId,
    status: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct AnyOrder {}

/// Waits until no order is in motion, or the time is over; then says what became of each.
pub async fn until_final(
    target: &Target,
    customers: &Customers,
    load: &Load,
    within: Duration,
) -> Result<Followed, Failure> {
    let mut connection = Connection::new(target);
    let started = Instant::now();
    let mut quiet = 0;
    // Customers whose orders are all final are not asked again: nothing moves back.
    while quiet < customers.count() && started.elapsed() < within {
        if in_motion(&mut connection, customers, quiet).await? {
            tokio::time::sleep(PAUSE).await;
        } else {
            quiet += 1;
        }
    }
    let mut found = HashMap::with_capacity(load.accepted.len());
    for customer in 0..customers.count() {
        list(&mut connection, customers, customer, &mut found).await?;
    }
    Ok(judge(load, found, within))
}

async fn in_motion(
    connection: &mut Connection,
    customers: &Customers,
    customer: usize,
) -> Result<bool, Failure> {
    for status in IN_MOTION {
        let path = format!("/v1/orders?status={status}&limit=1");
        let page: Page<AnyOrder> = page(connection, &path, customers.bearer(customer)).await?;
        if !page.items.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn list(
    connection: &mut Connection,
    customers: &Customers,
    customer: usize,
    found: &mut HashMap<OrderId, Order>,
) -> Result<(), Failure> {
    let mut cursor = None;
    loop {
        let path = page_path("/v1/orders", cursor.as_deref());
        let page: Page<Order> = page(connection, &path, customers.bearer(customer)).await?;
        found.extend(page.items.into_iter().map(|order| (order.id, order)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn judge(load: &Load, mut found: HashMap<OrderId, Order>, within: Duration) -> Followed {
    let mut followed = Followed {
        statuses: BTreeMap::new(),
        lost: Vec::new(),
        in_motion: Vec::new(),
        late: 0,
        strangers: 0,
        latency: histogram(),
        span: Duration::ZERO,
    };
    let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
    for id in load.accepted.keys() {
        let Some(order) = found.remove(id) else {
            followed.lost.push(*id);
            continue;
        };
        let moving = IN_MOTION.contains(&order.status.as_str());
        *followed.statuses.entry(order.status).or_default() += 1;
        first = first.min(order.created_at);
        last = last.max(order.updated_at);
        if moving {
            followed.in_motion.push(*id);
            continue;
        }
        let took = order.updated_at.duration_since(order.created_at).unsigned_abs();
        followed.latency.saturating_record(took.as_micros() as u64);
        followed.late += u64::from(took > within);
    }
    followed.strangers = found.len() as u64;
    if first < last {
        followed.span = last.duration_since(first).unsigned_abs();
    }
    followed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> OrderId {
        Uuid::from_u128(number).into()
    }

    fn order(number: u128, status: &str, millis: i64) -> (OrderId, Order) {
        let id = id(number);
        let created_at = Timestamp::from_millisecond(1_000).unwrap();
        let updated_at = Timestamp::from_millisecond(1_000 + millis).unwrap();
        (id, Order { id, status: status.to_owned(), created_at, updated_at })
    }

    #[test]
    fn lost_late_and_unfinished_orders_are_told() {
        let mut load = Load::default();
        load.accepted.extend((1..=4).map(|number| (id(number), 0)));
        let found = [
            order(1, "completed", 100),
            order(2, "paid", 5),
            order(3, "rejected", 31_000),
            order(9, "completed", 1),
        ];
        let followed = judge(&load, found.into_iter().collect(), Duration::from_secs(30));
        assert_eq!(followed.lost, [id(4)]);
        assert_eq!(followed.in_motion, [id(2)]);
        assert_eq!((followed.late, followed.strangers), (1, 1));
        assert_eq!(followed.statuses["completed"], 1);
        assert_eq!(followed.latency.len(), 2);
        assert_eq!(followed.span, Duration::from_secs(31));
    }
}
