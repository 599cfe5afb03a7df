//! Makes the plan's requests, in the order of the file, many at once.
//!
//! What belongs together stays in order: an invoice that takes back waits for the orders that it takes back from. The
//! file's time is kept when a speed is given, divided by it; without one everything goes as fast as it can.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::SetOnce;
use viscount_contracts::{Money, OrderId, ProductId};

use super::{
    Replay,
    amount::Amount,
    plan::{Back, Product, Step},
    reason::Reason,
    reconcile::Returned,
    sender::{Sender, kind},
};
use crate::{client::wire::Ask, stop::Stop, streams::Status};

/// How long an order that is to be refunded may take to its end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause between two looks at it; doubles.
const LOOK: Duration = Duration::from_millis(5);
/// The longest one.
const LONGEST_LOOK: Duration = Duration::from_millis(250);

/// What came of the requests.
#[derive(Debug)]
pub struct Driven {
    /// By order; nothing for those that were not begun.
    pub orders: Vec<Option<Result<Accepted, Reason>>>,
    /// By reversal and back.
    pub returned: Vec<Vec<Returned>>,
    /// How long it took.
    pub took: Duration,
}

/// An order that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Which.
    pub id: OrderId,
    /// Whose.
    pub account: usize,
    prices: BTreeMap<Product, Money>,
}

#[derive(Deserialize)]
struct Created {
    id: OrderId,
    lines: Vec<CreatedLine>,
}

#[derive(Deserialize)]
struct CreatedLine {
    product_id: ProductId,
    unit_price: Money,
}

#[derive(Deserialize)]
struct Seen {
    status: Status,
    updated_at: Timestamp,
}

struct Drive<'a> {
    replay: &'a Replay,
    sender: Sender,
    run: &'a str,
    orders: Vec<SetOnce<Result<Accepted, Reason>>>,
    returned: RefCell<Vec<Vec<Returned>>>,
}

/// Makes all requests. `run` is in the idempotency keys.
pub async fn drive(replay: &Replay, sender: Sender, run: &str, stop: &Stop) -> Driven {
    let began = Instant::now();
    let plan = &replay.plan;
    let not_yet = |reversal: &super::plan::Reversal| vec![Returned::NotReplayed; reversal.backs.len()];
    let drive = Drive {
        replay,
        sender,
        run,
        orders: plan.orders.iter().map(|_| SetOnce::new()).collect(),
        returned: RefCell::new(plan.reversals.iter().map(not_yet).collect()),
    };
    let offsets = replay.offsets();
    let next = Cell::new(0);
    let lanes = (0..replay.settings.in_flight.max(1)).map(|_| async {
        while let Some(step) = plan.steps.get(next.get()).filter(|_| !stop.is_asked()) {
            let number = next.replace(next.get() + 1);
            let intended = offsets.as_ref().map(|offsets| began + offsets[number]);
            if let Some(intended) = intended {
                if stop.or(tokio::time::sleep_until(intended.into())).await.is_none() {
                    return;
                }
                if let Some(recorder) = &drive.sender.recorder {
                    recorder.behind(intended.elapsed());
                }
            }
            match *step {
                Step::Order(order) => drive.place(order, intended).await,
                Step::Reversal(reversal) => drive.take_back(reversal).await,
            }
        }
    });
    // What is not answered by then is as if it had not been begun: its acceptance was seen by nobody.
    let _ = stop.or_soon(crate::engine::GRACE, join_all(lanes)).await;
    Driven {
        orders: drive.orders.into_iter().map(SetOnce::into_inner).collect(),
        returned: drive.returned.into_inner(),
        took: began.elapsed(),
    }
}

impl Drive<'_> {
    async fn place(&self, order: usize, intended: Option<Instant>) {
        let planned = &self.replay.plan.orders[order];
        let account = self.replay.account(planned.invoice, self.sender.customers.count());
        let lines: Vec<_> = planned
            .goods
            .iter()
            .map(|(product, pieces)| {
                json!({"product_id": self.replay.catalogue.products[*product], "quantity": pieces})
            })
            .collect();
        let body =
            json!({"lines": lines, "payment": {"method": "card", "token": self.replay.settings.payment}});
        let key = format!("replay-{}-{order}", self.run);
        let mut ask = Ask::post("/v1/orders", body.to_string());
        ask.key = Some(&key);
        let meant = intended.unwrap_or_else(Instant::now);
        let placed = match self.sender.ask("order", account, ask, intended).await {
            Ok(answer) if answer.status == 201 => match serde_json::from_slice(&answer.body) {
                Ok(Created { id, lines }) => {
                    if let Some(recorder) = &self.sender.recorder {
                        recorder.accepted(id, account as u32, meant);
                    }
                    let number = |product| self.replay.catalogue.number(product);
                    let prices = lines
                        .iter()
                        .filter_map(|line| Some((number(line.product_id)?, line.unit_price)))
                        .collect();
                    Ok(Accepted { id, account, prices })
                }
                Err(_) => Err(Reason::Refused("an order that cannot be read".to_owned())),
            },
            Ok(answer) => Err(Reason::Refused(format!("{} {}", answer.status.as_u16(), kind(&answer)))),
            Err(_) if self.sender.stop.is_asked() => Err(Reason::NotReplayed),
            Err(why) => Err(Reason::Refused(why)),
        };
        // Each order is placed by one step.
        let _ = self.orders[order].set(placed);
    }

    async fn take_back(&self, reversal: usize) {
        for (number, back) in self.replay.plan.reversals[reversal].backs.iter().enumerate() {
            let outcome = self.back(reversal, back).await;
            self.returned.borrow_mut()[reversal][number] = outcome;
        }
    }

    async fn back(&self, reversal: usize, back: &Back) -> Returned {
        // Its step came before this one, and whoever took it goes on to the end.
        let Ok(order) = self.orders[back.order].wait().await else { return Returned::Unsold };
        let invoice = &self.replay.file.invoices[self.replay.plan.reversals[reversal].invoice].number;
        let reason = format!(
            "replay of {}",
            invoice.chars().filter(|c| !c.is_control()).take(100).collect::<String>()
        );
        if back.whole {
            let path = format!("/v1/orders/{}/cancel", order.id);
            let ask = Ask::post(&path, json!({"reason": reason}).to_string());
            // A refusal says that it is too late.
            if matches!(self.sender.ask("cancel", order.account, ask, None).await, Ok(answer) if answer.status == 200)
            {
                return Returned::Cancelled;
            }
        }
        match self.when_final(order).await {
            Ok(Status::Completed | Status::PartiallyRefunded | Status::Refunded) => {}
            Ok(_) => return Returned::Unsold,
            Err(_) if self.sender.stop.is_asked() => return Returned::NotReplayed,
            Err(why) => return Returned::Refused(why),
        }
        let Some(money) = order.price_of(&back.goods) else {
            return Returned::Refused("the order has no such line".to_owned());
        };
        let path = format!("/v1/orders/{}/refund", order.id);
        let key = format!("replay-{}-back-{reversal}-{}", self.run, back.order);
        let mut ask = Ask::post(&path, json!({"amount": money, "reason": reason}).to_string());
        ask.key = Some(&key);
        match self.sender.ask("refund", order.account, ask, None).await {
            Ok(answer) if answer.status.is_success() => Returned::Refunded(Amount::of(money)),
            Ok(answer) => Returned::Refused(format!("{} {}", answer.status.as_u16(), kind(&answer))),
            Err(_) if self.sender.stop.is_asked() => Returned::NotReplayed,
            Err(why) => Returned::Refused(why),
        }
    }

    async fn when_final(&self, order: &Accepted) -> Result<Status, String> {
        let path = format!("/v1/orders/{}", order.id);
        let until = Instant::now() + PATIENCE;
        let mut pause = LOOK;
        loop {
            let answer = self.sender.ask("look", order.account, Ask::get(&path, None), None).await?;
            let seen: Result<Seen, _> = serde_json::from_slice(&answer.body);
            match seen {
                Ok(Seen { status, updated_at }) if status.is_final() => {
                    if let (Status::Completed, Some(recorder)) = (status, &self.sender.recorder) {
                        // Once its money goes back, this is forgotten.
                        recorder.completed(order.id, updated_at);
                    }
                    return Ok(status);
                }
                Ok(_) if Instant::now() < until => tokio::time::sleep(pause).await,
                Ok(_) => return Err(format!("the order was not final after {} s", PATIENCE.as_secs())),
                Err(_) => return Err(format!("{} {}", answer.status.as_u16(), kind(&answer))),
            }
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }
}

impl Accepted {
    /// What these goods cost here.
    fn price_of(&self, goods: &BTreeMap<Product, i64>) -> Option<Money> {
        let mut sum: Option<Money> = None;
        for (product, pieces) in goods {
            let price = self.prices.get(product)?;
            let line = Money::new(price.amount().checked_mul(*pieces)?, price.currency());
            sum = Some(match sum {
                Some(sum) => sum.checked_add(line).ok()?,
                None => line,
            });
        }
        sum
    }
}
