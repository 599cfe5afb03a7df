//! What the platform says in the end: every order and its payment, once both have come to rest.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Deserialize;
use viscount_contracts::{Money, ProductId};

use super::{
    amount::Amount,
    catalogue::Catalogue,
    drive::Accepted,
    reconcile::{FactLine, Facts},
    sender::Sender,
};
use crate::{
    client::{
        shop::Page,
        wire::{Answer, Ask},
    },
    failure::Failure,
    streams::Status,
};

/// Orders that are read at the same time.
const AT_ONCE: usize = 32;
/// How long an order and its payment may take to rest.
const PATIENCE: Duration = Duration::from_secs(60);
/// And each at least, when reading all of them takes long.
const LEAST: Duration = Duration::from_secs(10);
/// The first pause between two looks; doubles.
const LOOK: Duration = Duration::from_millis(10);
/// The longest one.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Order {
    status: Status,
    lines: Vec<Line>,
    total: Money,
    refunded: Money,
    reason: Option<Reason>,
}

#[derive(Deserialize)]
struct Line {
    product_id: ProductId,
    quantity: i64,
    unit_price: Money,
    line_total: Money,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
}

#[derive(Deserialize)]
struct Payment {
    status: String,
    captured: Option<Money>,
    refunded: Option<Money>,
    refunds: Vec<Refund>,
}

#[derive(Deserialize)]
struct Refund {
    state: String,
}

/// Reads all of them, each with the money that was asked back of it: a refund that was accepted is waited for.
pub async fn read_back(
    sender: &Sender,
    catalogue: &Catalogue,
    orders: &[(&Accepted, Amount)],
) -> Result<Vec<Facts>, Failure> {
    let until = Instant::now() + PATIENCE;
    let next = Cell::new(0);
    let lanes = (0..AT_ONCE.min(orders.len())).map(|_| async {
        let mut read = Vec::new();
        while let Some(&(order, asked)) = orders.get(next.get()) {
            let number = next.replace(next.get() + 1);
            read.push((number, at_rest(sender, catalogue, order, asked, until).await?));
        }
        Ok::<_, Failure>(read)
    });
    let mut all = Vec::with_capacity(orders.len());
    for read in join_all(lanes).await {
        all.extend(read?);
    }
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, facts)| facts).collect())
}

/// As it is when it rests, or when the time is over.
async fn at_rest(
    sender: &Sender,
    catalogue: &Catalogue,
    order: &Accepted,
    asked: Amount,
    until: Instant,
) -> Result<Facts, Failure> {
    let until = until.max(Instant::now() + LEAST);
    let mut pause = LOOK;
    loop {
        let (seen, payment) = (look(sender, order).await?, payment(sender, order).await?);
        let zero = Money::zero(seen.total.currency());
        let money = |pick: fn(&Payment) -> Option<Money>| payment.as_ref().and_then(pick).unwrap_or(zero);
        let (captured, paid_back) = (money(|payment| payment.captured), money(|payment| payment.refunded));
        let rests = seen.status.is_final()
            && seen.refunded == paid_back
            && payment.as_ref().is_none_or(Payment::rests);
        // Money taken of an order that was called off comes back by itself.
        let back = match seen.status {
            Status::Cancelled | Status::Rejected => Amount::of(captured),
            _ => asked,
        };
        if (rests && Amount::of(paid_back) >= back) || Instant::now() >= until {
            return Ok(facts(catalogue, order, seen, captured, paid_back));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_LOOK);
    }
}

impl Payment {
    fn rests(&self) -> bool {
        self.status != "pending" && self.refunds.iter().all(|refund| refund.state != "pending")
    }
}

async fn look(sender: &Sender, order: &Accepted) -> Result<Order, Failure> {
    let path = format!("/v1/orders/{}", order.id);
    let answer = ask(sender, order, &path).await?;
    parse(&path, &answer.expect(&path, 200)?)
}

/// The order's payment; none when payments have not heard of it.
async fn payment(sender: &Sender, order: &Accepted) -> Result<Option<Payment>, Failure> {
    let path = format!("/v1/payments?order_id={}", order.id);
    let answer = ask(sender, order, &path).await?;
    if answer.status == 404 {
        return Ok(None);
    }
    let page: Page<Payment> = parse(&path, &answer.expect(&path, 200)?)?;
    let mut items = page.items.into_iter();
    match (items.next(), items.next()) {
        (first, None) => Ok(first),
        _ => Err(Failure::Other(format!("{path}: more than one payment"))),
    }
}

async fn ask(sender: &Sender, order: &Accepted, path: &str) -> Result<Answer, Failure> {
    let answer = sender.ask("read back", order.account, Ask::get(path, None), None).await;
    answer.map_err(|why| Failure::Other(format!("{path}: {why}")))
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Other(format!("{path}: {error}")))
}

fn facts(catalogue: &Catalogue, order: &Accepted, seen: Order, captured: Money, paid_back: Money) -> Facts {
    let line = |line: Line| FactLine {
        product: catalogue.number(line.product_id),
        quantity: line.quantity,
        price: Amount::of(line.unit_price),
        total: Amount::of(line.line_total),
    };
    Facts {
        id: order.id.to_string(),
        status: seen.status,
        reason: seen.reason.map(|reason| reason.code),
        lines: seen.lines.into_iter().map(line).collect(),
        total: Amount::of(seen.total),
        refunded: Amount::of(seen.refunded),
        captured: Amount::of(captured),
        paid_back: Amount::of(paid_back),
    }
}
