//! Very many streams that stay open, each a task of a few kilobytes.
//!
//! A stream stays open as long as its order is in motion, and an order of this platform is so for milliseconds. What
//! makes it wait, with nothing but the public contract, is its payment: `tok_slow` takes the provider two seconds, and
//! the platform asks only so many such questions at once. Thousands of orders placed at one go are validated, told to
//! their streams, and then wait for minutes until their payment is chased; a few dozen a second settle, and their
//! streams are told and closed. Orders with a quick card pass them by: that is the traffic under which the open streams
//! are measured.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;
use viscount_contracts::{OrderId, ProductId};

use super::{
    board::Board,
    follow::{Follow, Transport},
};
use crate::{
    client::{
        customers::Customers,
        wire::{Ask, Connection, LONGEST_PAUSE, Target},
    },
    failure::Failure,
    stop::Stop,
};

/// Orders placed at the same time.
const PLACING: usize = 16;
/// Streams that are being opened at the same time.
const OPENING: usize = 128;
/// No stream was opened for so long: no more will be.
const STUCK: Duration = Duration::from_secs(20);
/// How often an order is tried.
const TRIES: u32 = 10;
/// An order may wait for its payment for so long.
const WITHIN: Duration = Duration::from_secs(3_600);
/// How often is looked whether enough streams are open.
const LOOK: Duration = Duration::from_millis(20);

/// How many streams, and of what kind.
#[derive(Debug, Clone)]
pub struct CrowdSpec {
    /// Streams that are to be open when the load begins.
    pub streams: usize,
    /// Orders placed beyond that, as a share: some settle before the load begins, and while it goes on.
    pub extra: f64,
    /// The share of server-sent events among the streams; the rest are websockets.
    pub sse: f64,
    /// The payment token of the orders that are watched.
    pub payment: String,
}

/// The open streams. They close when this is dropped.
pub struct Crowd {
    board: Rc<Board>,
    _streams: JoinSet<()>,
    /// What came of gathering.
    pub gathered: Gathered,
}

/// What came of gathering.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Orders that were placed for it.
    pub orders: usize,
    /// Streams that were open at the end of it.
    pub streams: usize,
    /// How long placing the orders took.
    pub placing: Duration,
    /// How long opening the streams took.
    pub opening: Duration,
    /// Memory that the platform took for each stream, in bytes, when its memory can be read.
    pub bytes_per_stream: Option<f64>,
    /// Memory that this process took for each stream.
    pub own_bytes_per_stream: Option<f64>,
    /// What kept streams from being opened, as far as can be seen.
    pub hindrances: Vec<String>,
}

/// The memory of the platform and of this process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Of the platform's processes that hold streams, when they are known.
    pub platform: Option<u64>,
    /// Of this one.
    pub own: Option<u64>,
}

impl Crowd {
    /// Places the orders, then opens a stream on each; `memory` is asked before and after the opening.
    pub async fn gather(
        target: &Target,
        customers: &Customers,
        products: &[ProductId],
        spec: &CrowdSpec,
        board: &Rc<Board>,
        stop: &Stop,
        memory: &dyn Fn() -> Memory,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        let wanted = (spec.streams as f64 * (1.0 + spec.extra)).ceil() as usize;
        let orders = place(target, customers, products, spec, wanted, stop).await?;
        let placing = began.elapsed();

        let (before, began) = (memory(), Instant::now());
        let mut streams = JoinSet::new();
        let orders_placed = orders.len();
        open(target, customers, spec, orders, board, &mut streams, stop).await;
        let (after, open) = (memory(), board.open());
        let each = |before: Option<u64>, after: Option<u64>| {
            Some((after? as f64 - before? as f64) / open.max(1) as f64)
        };
        let gathered = Gathered {
            orders: orders_placed,
            streams: open,
            placing,
            opening: began.elapsed(),
            bytes_per_stream: each(before.platform, after.platform),
            own_bytes_per_stream: each(before.own, after.own),
            hindrances: Vec::new(),
        };
        Ok(Self { board: board.clone(), _streams: streams, gathered })
    }

    /// Streams that are open now, of the crowd and of everybody else.
    pub fn open(&self) -> usize {
        self.board.open()
    }
}

type Placed = (OrderId, usize);

async fn place(
    target: &Target,
    customers: &Customers,
    products: &[ProductId],
    spec: &CrowdSpec,
    wanted: usize,
    stop: &Stop,
) -> Result<Vec<Placed>, Failure> {
    let next = Cell::new(0);
    let workers = (0..PLACING).map(|_| async {
        let mut connection = Connection::new(target);
        let mut placed = Vec::with_capacity(wanted / PLACING + 1);
        while next.get() < wanted && !stop.is_asked() {
            let number = next.replace(next.get() + 1);
            let (customer, product) = (number % customers.count(), products[number % products.len()]);
            placed
                .push((order(&mut connection, customers, customer, product, &spec.payment).await?, customer));
        }
        Ok::<_, Failure>(placed)
    });
    let mut all = Vec::with_capacity(wanted);
    for placed in join_all(workers).await {
        all.extend(placed?);
    }
    Ok(all)
}

/// Places one order, again under the same key when there is no clear answer.
async fn order(
    connection: &mut Connection,
    customers: &Customers,
    customer: usize,
    product: ProductId,
    payment: &str,
) -> Result<OrderId, Failure> {
    #[derive(Deserialize)]
    struct Accepted {
        id: OrderId,
    }
    let key = Uuid::new_v4().to_string();
    let body = json!({
        "lines": [{"product_id": product, "quantity": 1}],
        "payment": {"method": "card", "token": payment},
    })
    .to_string();
    let mut last = None;
    for _ in 0..TRIES {
        let mut ask = Ask::post("/v1/orders", body.clone());
        ask.bearer = customers.bearer(customer);
        ask.key = Some(&key);
        let pause = match connection.ask(ask).await {
            Ok(answer) => {
                let pause = answer.retry_after();
                match answer.expect("/v1/orders", 201) {
                    Ok(body) => {
                        return serde_json::from_slice(&body)
                            .map(|accepted: Accepted| accepted.id)
                            .map_err(|error| Failure::Other(format!("/v1/orders: {error}")));
                    }
                    Err(failure) if pause.is_none() => return Err(failure),
                    Err(failure) => last = Some(failure),
                }
                pause
            }
            Err(error) => {
                last = Some(error.into());
                None
            }
        };
        tokio::time::sleep(pause.unwrap_or(Duration::from_millis(100)).min(LONGEST_PAUSE)).await;
    }
    Err(last.unwrap_or_else(|| Failure::Other("/v1/orders gives no answer".to_owned())))
}

/// Opens a stream on each order, so many at once, until all are open or no more get open.
async fn open(
    target: &Target,
    customers: &Customers,
    spec: &CrowdSpec,
    orders: Vec<Placed>,
    board: &Rc<Board>,
    streams: &mut JoinSet<()>,
    stop: &Stop,
) {
    let mut progress = (board.tally().opened, Instant::now());
    let mut sse = 0.0;
    for (number, (order, customer)) in orders.into_iter().enumerate() {
        sse += spec.sse;
        let transport = if sse >= 1.0 { Transport::Sse } else { Transport::Websocket };
        sse = if sse >= 1.0 { sse - 1.0 } else { sse };
        let (target, customers, board) = (target.clone(), customers.clone(), board.clone());
        let at = board.clone();
        streams.spawn_local(async move {
            let bearer = || customers.bearer(customer);
            let renew = |refused| customers.renewed(customer, refused);
            let follow = Follow {
                target: &target,
                order,
                bearer: &bearer,
                renew: &renew,
                transport,
                within: WITHIN,
                drop_after: None,
            };
            // What came of it is on the board.
            let _ = follow.to_the_end(&board).await;
        });
        let spawned = number as u64 + 1;
        while spawned.saturating_sub(at.tally().opened) > OPENING as u64 {
            if is_stuck(&at, &mut progress) || stop.is_asked() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    while at_least_one_is_opening(board, streams) && !is_stuck(board, &mut progress) && !stop.is_asked() {
        tokio::time::sleep(LOOK).await;
    }
}

fn at_least_one_is_opening(board: &Board, streams: &mut JoinSet<()>) -> bool {
    while streams.try_join_next().is_some() {}
    streams.len() > board.open()
}

fn is_stuck(board: &Board, progress: &mut (u64, Instant)) -> bool {
    let opened = board.tally().opened;
    if opened > progress.0 {
        *progress = (opened, Instant::now());
    }
    progress.1.elapsed() > STUCK
}
