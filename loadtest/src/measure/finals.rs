//! After the load: every accepted order is followed to its final status.
//!
//! While many orders are in motion, only the statuses that are not final are asked for, so that following costs next to
//! nothing. Then each customer's orders since the load began are listed once. All times are the platform's own, so it does
//! not matter how fast this is.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use hdrhistogram::Histogram;
use http::header;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde::Deserialize;
use viscount_contracts::OrderId;

use super::{
    histogram::{histogram, record},
    recorder::Recorder,
};
use crate::{
    Failure,
    client::{
        customers::Customers,
        shop::{Page, page, page_path},
        wire::{Ask, Connection, Target},
    },
};

/// Statuses that an order does not stay in.
const IN_MOTION: [&str; 3] = ["created", "validated", "paid"];
/// Statuses of orders that were completed before something happened to them.
const RETURNED: [&str; 2] = ["partially_refunded", "refunded"];
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Customers who are looked after at once.
const AT_ONCE: usize = 4;
/// A customer with no more orders than this is listed at once: it is a page.
const PAGE: usize = 200;
/// What two clocks of one machine, or an order and its begin, may be apart.
const MARGIN: SignedDuration = SignedDuration::from_secs(2);
/// The most lost or unfinished orders that are named.
const NAMED: usize = 20;

/// What became of the orders of a load.
pub struct Finals {
    /// Accepted orders by status.
    pub statuses: BTreeMap<String, u64>,
    /// Accepted orders that are in no list.
    pub lost: u64,
    /// Accepted orders that are not final.
    pub not_final: u64,
    /// Some of these two.
    pub named: Vec<OrderId>,
    /// Accepted orders that became final, but too late.
    pub late: u64,
    /// Orders that two requests were told to have made.
    pub repeated: u64,
    /// Orders made since the load began that no client saw accepted.
    pub unknown: u64,
    /// Microseconds from creation to the final status, the warm-up's orders left out, and those whose money went back.
    pub created_to_final: Histogram<u64>,
    /// Completed orders by the second of the load, whenever they were made.
    pub completed: Vec<u64>,
    /// Why something is missing.
    pub notes: Vec<String>,
}

impl Default for Finals {
    fn default() -> Self {
        Self {
            statuses: BTreeMap::new(),
            lost: 0,
            not_final: 0,
            named: Vec::new(),
            late: 0,
            repeated: 0,
            unknown: 0,
            created_to_final: histogram(),
            completed: Vec::new(),
            notes: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Order {
    id: OrderId,
    status: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct AnyOrder {}

/// When the load began, by the platform's clock.
#[derive(Clone, Copy)]
struct Begin {
    at: Timestamp,
    within: Duration,
}

/// Waits until no order of the load is in motion, but not longer than this; then says what became of each.
pub async fn follow(target: &Target, customers: &Customers, recorder: &Recorder, within: Duration) -> Finals {
    let finals = RefCell::new(Finals::default());
    let Some((_, began)) = recorder.began() else { return finals.into_inner() };
    let at = match skew(target).await {
        Ok(skew) => began.checked_add(skew).unwrap_or(began),
        Err(failure) => {
            finals.borrow_mut().notes.push(format!("the platform's clock is not known: {failure}"));
            began
        }
    };
    let (begin, until) = (Begin { at, within }, Instant::now() + within);
    let accepted = by_customer(recorder, &mut finals.borrow_mut());
    stream::iter(accepted)
        .for_each_concurrent(AT_ONCE, |(customer, accepted)| {
            let finals = &finals;
            async move {
                let orders = orders_of(target, customers, customer as usize, &accepted, begin, until).await;
                let mut finals = finals.borrow_mut();
                match orders {
                    Ok(orders) => finals.judge(accepted, orders, begin),
                    Err(failure) => finals.unreadable(accepted, &failure),
                }
            }
        })
        .await;
    finals.into_inner()
}

/// Accepted orders, and whether each was measured.
type Wanted = HashMap<OrderId, bool>;

fn by_customer(recorder: &Recorder, finals: &mut Finals) -> Vec<(u32, Wanted)> {
    let mut wanted: BTreeMap<u32, Wanted> = BTreeMap::new();
    for order in recorder.orders().iter() {
        let before = wanted.entry(order.customer).or_default().insert(order.order, order.measured);
        finals.repeated += u64::from(before.is_some());
    }
    wanted.into_iter().collect()
}

/// What the platform's clock shows when ours shows 0. On one machine they are the same clock; elsewhere the `Date` of an
/// answer tells it to the second.
async fn skew(target: &Target) -> Result<SignedDuration, Failure> {
    if target.is_loopback() {
        return Ok(SignedDuration::ZERO);
    }
    let path = "/v1/products?limit=1";
    let answer = Connection::new(target).ask(Ask::get(path, None)).await?;
    let date = answer.headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| rfc2822::parse(date).ok());
    let date = date.ok_or_else(|| Failure::Other(format!("{path} carries no Date")))?;
    Ok(date.timestamp().duration_since(Timestamp::now()))
}

/// A customer's orders since the load began, when none of them is in motion any more or the time is over.
async fn orders_of(
    target: &Target,
    customers: &Customers,
    customer: usize,
    wanted: &Wanted,
    begin: Begin,
    until: Instant,
) -> Result<Vec<Order>, Failure> {
    let mut connection = Connection::new(target);
    let since = begin.at.checked_sub(MARGIN).unwrap_or(begin.at).to_string();
    let since = form_urlencoded::byte_serialize(since.as_bytes()).collect::<String>();
    let path = format!("/v1/orders?created_after={since}");
    while wanted.len() > PAGE
        && Instant::now() < until
        && in_motion(&mut connection, customers, customer, &since).await?
    {
        tokio::time::sleep(PAUSE).await;
    }
    loop {
        let orders = list(&mut connection, customers, customer, &path).await?;
        let moving = orders.iter().any(|order| order.moves() && wanted.contains_key(&order.id));
        if !moving || Instant::now() >= until {
            return Ok(orders);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn in_motion(
    connection: &mut Connection,
    customers: &Customers,
    customer: usize,
    since: &str,
) -> Result<bool, Failure> {
    for status in IN_MOTION {
        let path = format!("/v1/orders?status={status}&created_after={since}&limit=1");
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
    path: &str,
) -> Result<Vec<Order>, Failure> {
    let (mut orders, mut cursor) = (Vec::new(), None);
    loop {
        let path = page_path(path, cursor.as_deref());
        let page: Page<Order> = page(connection, &path, customers.bearer(customer)).await?;
        orders.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(orders);
        }
    }
}

impl Order {
    fn moves(&self) -> bool {
        IN_MOTION.contains(&self.status.as_str())
    }
}

impl Finals {
    /// Completed orders, also when money went back later.
    pub fn orders_completed(&self) -> u64 {
        let count = |status: &str| self.statuses.get(status).copied().unwrap_or_default();
        count("completed") + RETURNED.iter().map(|status| count(status)).sum::<u64>()
    }

    fn judge(&mut self, mut wanted: Wanted, orders: Vec<Order>, begin: Begin) {
        for order in orders {
            let Some(measured) = wanted.remove(&order.id) else {
                self.unknown += u64::from(order.created_at >= begin.at);
                continue;
            };
            if order.moves() {
                self.not_final += 1;
                self.name(order.id);
            } else {
                self.is_final(&order, measured, begin);
            }
            *self.statuses.entry(order.status).or_default() += 1;
        }
        self.lost += wanted.len() as u64;
        wanted.into_keys().for_each(|id| self.name(id));
    }

    fn is_final(&mut self, order: &Order, measured: bool, begin: Begin) {
        // It was changed again, after it had been final for a while.
        if RETURNED.contains(&order.status.as_str()) {
            return;
        }
        let took = order.updated_at.duration_since(order.created_at).unsigned_abs();
        self.late += u64::from(took > begin.within);
        if measured {
            record(&mut self.created_to_final, took);
        }
        if order.status == "completed" {
            let second = order.updated_at.duration_since(begin.at).as_secs().max(0) as usize;
            if second >= self.completed.len() {
                self.completed.resize(second + 1, 0);
            }
            self.completed[second] += 1;
        }
    }

    fn unreadable(&mut self, wanted: Wanted, failure: &Failure) {
        self.not_final += wanted.len() as u64;
        let note = format!("{} orders could not be followed: {failure}", wanted.len());
        if self.notes.len() < NAMED {
            self.notes.push(note);
        }
        wanted.into_keys().for_each(|id| self.name(id));
    }

    fn name(&mut self, id: OrderId) {
        if self.named.len() < NAMED {
            self.named.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(30);

    fn id(number: u128) -> OrderId {
        Uuid::from_u128(number).into()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + millis).unwrap()
    }

    fn order(number: u128, status: &str, created: i64, updated: i64) -> Order {
        Order { id: id(number), status: status.to_owned(), created_at: at(created), updated_at: at(updated) }
    }

    #[test]
    fn lost_late_and_unfinished_orders_are_told() {
        let wanted = (1..=5).map(|number| (id(number), number != 5)).collect();
        let orders = vec![
            order(1, "completed", 0, 100),
            order(2, "paid", 0, 5),
            order(3, "rejected", 0, 31_000),
            order(5, "completed", 900, 1_100),
            order(9, "completed", 50, 51),
            order(10, "completed", -50, 51),
        ];
        let mut finals = Finals::default();
        finals.judge(wanted, orders, Begin { at: at(0), within: WITHIN });
        assert_eq!((finals.lost, finals.not_final, finals.late, finals.unknown), (1, 1, 1, 1));
        assert_eq!(finals.named, [id(2), id(4)]);
        assert_eq!(finals.orders_completed(), 2);
        assert_eq!(finals.created_to_final.len(), 2, "the warm-up's order is left out");
        assert_eq!(finals.completed, [1, 1], "but what was completed meanwhile counts");
    }

    #[test]
    fn returned_money_does_not_make_an_order_slow() {
        let mut finals = Finals::default();
        let wanted = HashMap::from([(id(1), true)]);
        finals.judge(wanted, vec![order(1, "refunded", 0, 90_000)], Begin { at: at(0), within: WITHIN });
        assert_eq!((finals.orders_completed(), finals.late, finals.created_to_final.len()), (1, 0, 0));
    }

    #[test]
    fn an_order_that_two_requests_made_is_told() {
        let recorder = Recorder::new(Duration::ZERO);
        recorder.begin();
        for _ in 0..2 {
            recorder.accepted(id(1), 3, Instant::now());
        }
        let mut finals = Finals::default();
        let wanted = by_customer(&recorder, &mut finals);
        assert_eq!((finals.repeated, wanted.len(), wanted[0].0), (1, 1, 3));
    }
}
