//! The load itself.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use serde::Deserialize;
use viscount_contracts::OrderId;

use crate::{
    args::Args,
    basket::Baskets,
    customers::Customers,
    shop::Shop,
    wire::{Ask, Connection, Target},
};

/// How often one order is tried under one key.
const TRIES: u32 = 10;
/// The longest pause that a server may ask a client for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause after a connection broke.
const BROKEN_PAUSE: Duration = Duration::from_millis(100);

/// What the clients saw.
pub struct Load {
    /// Accepted orders, each with its customer.
    pub accepted: HashMap<OrderId, usize>,
    /// Accepted orders whose id had been accepted before: one order for two keys.
    pub repeated: u64,
    /// Orders that got no clear answer in all tries.
    pub unanswered: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Problem types of answers that are no 201.
    pub problems: BTreeMap<String, u64>,
    /// Requests without an answer, by reason.
    pub broken: BTreeMap<String, u64>,
    /// Microseconds to each 201.
    pub latency: Histogram<u64>,
}

#[derive(Deserialize)]
struct Accepted {
    id: OrderId,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
}

/// When to stop.
struct Limit {
    until: Instant,
    left: Option<Cell<u64>>,
}

impl Limit {
    /// True when one more order may be placed.
    fn one_more(&self) -> bool {
        match &self.left {
            Some(left) => left.replace(left.get().saturating_sub(1)) > 0,
            None => Instant::now() < self.until,
        }
    }
}

/// Runs all clients until the time is over, or the orders are placed.
pub async fn run(args: &Args, target: &Target, customers: &Customers, shop: &Shop) -> Load {
    let limit = Rc::new(Limit {
        until: Instant::now() + Duration::from_secs(args.duration),
        left: args.orders.map(Cell::new),
    });
    let clients = (0..args.clients).map(|number| {
        let client = Client {
            connection: Connection::new(target),
            baskets: Baskets::new(args.seed, number, &shop.products, &args.payment),
            customer: number as usize % customers.count(),
            load: Load::default(),
        };
        client.run(customers, limit.clone())
    });
    join_all(clients).await.into_iter().fold(Load::default(), Load::with)
}

struct Client<'a> {
    connection: Connection,
    baskets: Baskets<'a>,
    customer: usize,
    load: Load,
}

/// How an order's request ended.
enum End {
    Accepted(OrderId),
    Refused,
    Unanswered,
}

impl Client<'_> {
    async fn run(mut self, customers: &Customers, limit: Rc<Limit>) -> Load {
        while limit.one_more() {
            match self.place(customers).await {
                End::Accepted(order) => {
                    if self.load.accepted.insert(order, self.customer).is_some() {
                        self.load.repeated += 1;
                    }
                }
                End::Refused => {}
                End::Unanswered => self.load.unanswered += 1,
            }
        }
        self.load
    }

    /// Places one order; when the answer is missing or says "later", again under the same key.
    async fn place(&mut self, customers: &Customers) -> End {
        let (body, key) = self.baskets.next();
        let body = Bytes::from(body);
        for _ in 0..TRIES {
            let mut ask = Ask::post("/v1/orders", body.clone());
            ask.bearer = customers.bearer(self.customer);
            ask.key = Some(&key);
            let started = Instant::now();
            let answer = match self.connection.ask(ask).await {
                Ok(answer) => answer,
                Err(error) => {
                    *self.load.broken.entry(error.to_string()).or_default() += 1;
                    tokio::time::sleep(BROKEN_PAUSE).await;
                    continue;
                }
            };
            *self.load.statuses.entry(answer.status.as_u16()).or_default() += 1;
            if answer.status == 201 {
                self.load.latency.saturating_record(started.elapsed().as_micros() as u64);
                match serde_json::from_slice(&answer.body) {
                    Ok(Accepted { id }) => return End::Accepted(id),
                    Err(error) => {
                        *self.load.broken.entry(format!("an unreadable order: {error}")).or_default() += 1;
                        return End::Unanswered;
                    }
                }
            }
            let problem = serde_json::from_slice(&answer.body);
            let kind = problem.map_or_else(|_| "none".to_owned(), |problem: Problem| problem.kind);
            let in_use = kind == "/problems/idempotency-key-in-use";
            *self.load.problems.entry(kind).or_default() += 1;
            // What is behind these may have happened or may yet: the same key finds out.
            if !in_use && !matches!(answer.status.as_u16(), 429 | 500 | 502 | 503 | 504) {
                return End::Refused;
            }
            tokio::time::sleep(answer.retry_after.unwrap_or(BROKEN_PAUSE).min(LONGEST_PAUSE)).await;
        }
        End::Unanswered
    }
}

impl Load {
    fn with(mut self, other: Load) -> Load {
        for (order, customer) in other.accepted {
            if self.accepted.insert(order, customer).is_some() {
                self.repeated += 1;
            }
        }
        self.repeated += other.repeated;
        self.unanswered += other.unanswered;
        add(&mut self.statuses, other.statuses);
        add(&mut self.problems, other.problems);
        add(&mut self.broken, other.broken);
        // Both have the same bounds.
        let _ = self.latency.add(&other.latency);
        self
    }
}

impl Default for Load {
    fn default() -> Self {
        Self {
            accepted: HashMap::new(),
            repeated: 0,
            unanswered: 0,
            statuses: BTreeMap::new(),
            problems: BTreeMap::new(),
            broken: BTreeMap::new(),
            latency: histogram(),
        }
    }
}

/// Microseconds up to ten minutes, to three digits.
pub fn histogram() -> Histogram<u64> {
    let smallest = || Histogram::new(3);
    match Histogram::new_with_bounds(1, 600_000_000, 3).or_else(|_| smallest()) {
        Ok(histogram) => histogram,
        // Three digits and these bounds are within what the library takes.
        Err(error) => unreachable!("{error}"),
    }
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, count) in more {
        *sums.entry(key).or_default() += count;
    }
}
