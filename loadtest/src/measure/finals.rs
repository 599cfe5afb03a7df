//! After the load: every accepted order is followed to its final status.
//!
//! While many orders are in motion, only the statuses that are not final are asked for, so that following costs next to
//! nothing. Then each customer's orders since the load began are listed once. All times are the platform's own, so it does
//! not matter how fast this is. An order whose money went back was completed before: its journey has seen when, or its
//! events say so.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use hdrhistogram::Histogram;
use http::header;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde::{Deserialize, de::DeserializeOwned};
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
    stop::Stop,
};

/// Statuses that an order does not stay in.
const IN_MOTION: [&str; 3] = ["created", "validated", "paid"];
/// The status of an order that went well.
const COMPLETED: &str = "completed";
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
/// The most orders of a phase whose events are asked for.
const ASKED: u64 = 2_000;

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
    /// Microseconds from creation to completion, the warm-up's orders left out. What was rejected or cancelled is not in it: a
    /// quick no would make the yes look quick.
    pub created_to_completed: Histogram<u64>,
    /// Completed orders by the second of the load, whenever they were made.
    pub completed: Vec<u64>,
    /// Accepted orders that nobody looked for, since the run had to end.
    pub unseen: u64,
    /// Orders whose money went back, and of whose completion nobody knows when it was.
    pub untimed: u64,
    /// Orders whose events were asked for.
    asked: u64,
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
            created_to_completed: histogram(),
            completed: Vec::new(),
            unseen: 0,
            untimed: 0,
            asked: 0,
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

#[derive(Deserialize)]
struct Happened {
    status: String,
    occurred_at: Timestamp,
}

/// When the load began, by the platform's clock.
#[derive(Clone, Copy)]
struct Begin {
    at: Timestamp,
    within: Duration,
}

/// Waits until no order of the load is in motion, but not longer than this, and not for long when the run has to end; then
/// says what became of each.
pub async fn follow(
    target: &Target,
    customers: &Customers,
    recorder: &Recorder,
    within: Duration,
    stop: &Stop,
    grace: Duration,
) -> Finals {
    let finals = RefCell::new(Finals::default());
    let Some((_, began)) = recorder.began() else { return finals.into_inner() };
    let waiting = by_customer(recorder, &mut finals.borrow_mut());
    let left: Cell<u64> = Cell::new(waiting.iter().map(|(_, wanted)| wanted.len() as u64).sum());
    let following = async {
        let at = match skew(target).await {
            Ok(skew) => began.checked_add(skew).unwrap_or(began),
            Err(failure) => {
                finals.borrow_mut().notes.push(format!("the platform's clock is not known: {failure}"));
                began
            }
        };
        let look =
            Look { target, customers, recorder, begin: Begin { at, within }, until: Instant::now() + within };
        stream::iter(waiting)
            .for_each_concurrent(AT_ONCE, |(customer, accepted)| {
                let (look, finals, left) = (&look, &finals, &left);
                async move {
                    let orders = accepted.len() as u64;
                    look.after(customer as usize, accepted, finals).await;
                    left.set(left.get() - orders);
                }
            })
            .await;
    };
    let ended = stop.or_soon(grace, following).await;
    let mut finals = finals.into_inner();
    if ended.is_none() {
        finals.unseen = left.get();
        finals.notes.push(format!(
            "interrupted before {} orders were looked for: nothing is known of them",
            left.get()
        ));
    }
    if finals.untimed > 0 {
        finals.notes.push(format!(
            "{} orders whose money went back were completed, but not known when: they are in no rate and no time",
            finals.untimed
        ));
    }
    finals
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

/// How orders are looked for.
struct Look<'a> {
    target: &'a Target,
    customers: &'a Customers,
    recorder: &'a Recorder,
    begin: Begin,
    until: Instant,
}

impl Look<'_> {
    /// What became of one customer's orders.
    async fn after(&self, customer: usize, wanted: Wanted, finals: &RefCell<Finals>) {
        let mut connection = Connection::new(self.target);
        let orders = match self.orders_of(&mut connection, customer, &wanted).await {
            Ok(orders) => orders,
            Err(failure) => return finals.borrow_mut().unreadable(wanted, &failure),
        };
        let mut completed = HashMap::new();
        for order in orders.iter().filter(|order| order.is_returned() && wanted.contains_key(&order.id)) {
            let mut at = self.recorder.completed_at(order.id);
            if at.is_none() && finals.borrow().asked < ASKED {
                finals.borrow_mut().asked += 1;
                // When it fails, the order is one of those that nobody knows it of.
                at = self.completed_at(&mut connection, customer, order.id).await.ok().flatten();
            }
            completed.extend(at.map(|at| (order.id, at)));
        }
        finals.borrow_mut().judge(wanted, orders, &completed, self.begin);
    }

    /// A customer's orders since the load began, when none of them is in motion any more or the time is over.
    async fn orders_of(
        &self,
        connection: &mut Connection,
        customer: usize,
        wanted: &Wanted,
    ) -> Result<Vec<Order>, Failure> {
        let begin = self.begin.at;
        let since = begin.checked_sub(MARGIN).unwrap_or(begin).to_string();
        let since = form_urlencoded::byte_serialize(since.as_bytes()).collect::<String>();
        let path = format!("/v1/orders?created_after={since}");
        while wanted.len() > PAGE
            && Instant::now() < self.until
            && self.in_motion(connection, customer, &since).await?
        {
            tokio::time::sleep(PAUSE).await;
        }
        loop {
            let orders: Vec<Order> = self.list(connection, customer, &path).await?;
            let moving = orders.iter().any(|order| order.moves() && wanted.contains_key(&order.id));
            if !moving || Instant::now() >= self.until {
                return Ok(orders);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn in_motion(
        &self,
        connection: &mut Connection,
        customer: usize,
        since: &str,
    ) -> Result<bool, Failure> {
        for status in IN_MOTION {
            let path = format!("/v1/orders?status={status}&created_after={since}&limit=1");
            let page: Page<AnyOrder> = page(connection, &path, Some((self.customers, customer))).await?;
            if !page.items.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// When an order was completed, by its events.
    async fn completed_at(
        &self,
        connection: &mut Connection,
        customer: usize,
        order: OrderId,
    ) -> Result<Option<Timestamp>, Failure> {
        let path = format!("/v1/orders/{order}/events");
        let events: Vec<Happened> = self.list(connection, customer, &path).await?;
        Ok(events.into_iter().find(|event| event.status == COMPLETED).map(|event| event.occurred_at))
    }

    async fn list<T: DeserializeOwned>(
        &self,
        connection: &mut Connection,
        customer: usize,
        path: &str,
    ) -> Result<Vec<T>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let path = page_path(path, cursor.as_deref());
            let page: Page<T> = page(connection, &path, Some((self.customers, customer))).await?;
            all.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }
}

impl Order {
    fn moves(&self) -> bool {
        IN_MOTION.contains(&self.status.as_str())
    }

    /// It was changed again, after it had been completed for a while.
    fn is_returned(&self) -> bool {
        RETURNED.contains(&self.status.as_str())
    }
}

impl Finals {
    /// Completed orders, also when money went back later.
    pub fn orders_completed(&self) -> u64 {
        let count = |status: &str| self.statuses.get(status).copied().unwrap_or_default();
        count(COMPLETED) + RETURNED.iter().map(|status| count(status)).sum::<u64>()
    }

    /// `completed` says when orders were completed whose money went back.
    fn judge(
        &mut self,
        mut wanted: Wanted,
        orders: Vec<Order>,
        completed: &HashMap<OrderId, Timestamp>,
        begin: Begin,
    ) {
        for order in orders {
            let Some(measured) = wanted.remove(&order.id) else {
                self.unknown += u64::from(order.created_at >= begin.at);
                continue;
            };
            if order.moves() {
                self.not_final += 1;
                self.name(order.id);
            } else {
                self.is_final(&order, completed.get(&order.id).copied(), measured, begin);
            }
            *self.statuses.entry(order.status).or_default() += 1;
        }
        self.lost += wanted.len() as u64;
        wanted.into_keys().for_each(|id| self.name(id));
    }

    fn is_final(&mut self, order: &Order, completed: Option<Timestamp>, measured: bool, begin: Begin) {
        let final_at = match (order.is_returned(), completed) {
            (false, _) => order.updated_at,
            (true, Some(at)) => at,
            (true, None) => {
                self.untimed += 1;
                return;
            }
        };
        let took = final_at.duration_since(order.created_at).unsigned_abs();
        self.late += u64::from(took > begin.within);
        if order.status != COMPLETED && !order.is_returned() {
            return;
        }
        if measured {
            record(&mut self.created_to_completed, took);
        }
        let second = final_at.duration_since(begin.at).as_secs().max(0) as usize;
        if second >= self.completed.len() {
            self.completed.resize(second + 1, 0);
        }
        self.completed[second] += 1;
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
mod tests;
