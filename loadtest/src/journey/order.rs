//! Buying, and thinking better of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use viscount_contracts::OrderId;

use super::{
    Visit,
    visit::{Good, Placed},
};
use crate::client::wire::{Answer, Ask, LONGEST_PAUSE};

/// Between two looks at an order.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Order {
    id: OrderId,
}

#[derive(Deserialize)]
struct Seen<'a> {
    status: &'a str,
    updated_at: Timestamp,
}

/// A basket of the wanted products.
pub async fn order(visit: &mut Visit, payment: Option<&str>, wait: Option<u32>) -> Option<()> {
    let body = visit.world.shelf.basket(payment, &mut visit.random);
    place(visit, "order", body.into(), wait).await
}

/// The product that everybody wants.
pub async fn hot(visit: &mut Visit, products: usize, pieces: u32) -> Option<()> {
    let product = visit.world.shelf.hot(products, &mut visit.random);
    let body = visit.world.shelf.only(product, pieces);
    place(visit, "hot", body.into(), None).await
}

/// Places one order; when the answer is missing or says "later", again under the same key.
async fn place(visit: &mut Visit, operation: &'static str, body: Bytes, wait: Option<u32>) -> Option<()> {
    let key = visit.key();
    let prefer = wait.and_then(|wait| HeaderValue::from_str(&format!("wait={wait}")).ok());
    for tries_left in (0..visit.tries).rev() {
        let mut ask = Ask::post("/v1/orders", body.clone());
        ask.key = Some(&key);
        ask.header = prefer.clone().map(|prefer| (HeaderName::from_static("prefer"), prefer));
        match visit.ask_and_judge(operation, ask, true, is_an_order).await {
            Ok(Good { answer, intended }) => {
                let Order { id: order } = serde_json::from_slice(&answer.body).ok()?;
                visit.recorder.accepted(order, visit.customer as u32, intended);
                visit.last = Some(Placed { order, body, key, answer: answer.body });
                return Some(());
            }
            Err(bad) => {
                let again = bad.again.filter(|_| tries_left > 0)?;
                visit.pause(again.min(LONGEST_PAUSE)).await?;
            }
        }
    }
    None
}

fn is_an_order(answer: &Answer) -> Result<(), &'static str> {
    let order: Result<Order, _> = serde_json::from_slice(&answer.body);
    match order {
        Ok(_) if answer.status == 201 => Ok(()),
        Ok(_) => Err("a new order that is not a 201"),
        Err(_) => Err("an order that cannot be read"),
    }
}

/// The last order's request once more: the first answer is wanted, byte for byte.
pub async fn retry(visit: &mut Visit) -> Option<()> {
    let placed = visit.last.take()?;
    let mut ask = Ask::post("/v1/orders", placed.body.clone());
    ask.key = Some(&placed.key);
    let judge = |answer: &Answer| match answer.headers.get("idempotent-replayed") {
        _ if answer.status != 201 || answer.body != placed.answer => {
            Err("a retry that was answered differently")
        }
        None => Err("a retry without Idempotent-Replayed"),
        Some(_) => Ok(()),
    };
    let good = visit.ask_and_judge("retry", ask, true, judge).await.is_ok();
    visit.last = Some(placed);
    good.then_some(())
}

/// Cancels the last order. That it is too late for this is an answer too: a problem of the type `/problems/…`.
pub async fn cancel(visit: &mut Visit) -> Option<()> {
    let path = format!("/v1/orders/{}/cancel", visit.last.as_ref()?.order);
    visit.ask_as_customer("cancel", Ask::post(&path, "{}")).await.ok().map(|_| ())
}

/// Waits until the last order is completed, and has its money returned.
pub async fn refund(visit: &mut Visit, amount: Option<i64>) -> Option<()> {
    let order = visit.last.as_ref()?.order;
    let path = format!("/v1/orders/{order}");
    let until = Instant::now() + visit.final_within;
    loop {
        let readable = |answer: &Answer| match serde_json::from_slice::<Seen<'_>>(&answer.body) {
            Ok(_) => Ok(()),
            Err(_) => Err("an order that cannot be read"),
        };
        let good = visit.ask_and_judge("look", Ask::get(&path, None), true, readable).await.ok()?;
        let Seen { status, updated_at } = serde_json::from_slice(&good.answer.body).ok()?;
        match status {
            "completed" => {
                // Once its money goes back, this is forgotten.
                visit.recorder.completed(order, updated_at);
                break;
            }
            "partially_refunded" => break,
            "created" | "validated" | "paid" if Instant::now() < until => visit.pause(LOOK).await?,
            // Rejected, cancelled or late: nothing to return, and the order's end is counted elsewhere.
            _ => return None,
        }
    }
    let body = match amount {
        Some(amount) => {
            let Ok(total) = serde_json::from_slice::<Total>(&visit.last.as_ref()?.answer) else {
                visit
                    .world
                    .note("refunds not asked for: the order's acceptance has no total that can be read");
                return None;
            };
            json!({"amount": {"amount": amount, "currency": total.total.currency}, "reason": "load test"})
        }
        None => json!({"reason": "load test"}),
    };
    let (path, key) = (format!("{path}/refund"), visit.key());
    let mut ask = Ask::post(&path, body.to_string());
    ask.key = Some(&key);
    visit.ask_as_customer("refund", ask).await.ok().map(|_| ())
}

#[derive(Deserialize)]
struct Total {
    total: Amount,
}

#[derive(Deserialize)]
struct Amount {
    currency: String,
}
