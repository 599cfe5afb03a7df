//! What the orders' events alone say of each order.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::{
    DecodeError, Envelope, Event,
    events::{common::v1::Money, orders::v1 as proto},
};

use super::world::World;
use crate::failure::Failure;

const PAGE: i64 = 5_000;

/// One order, rebuilt from its events.
#[derive(Debug, Default, Clone)]
pub struct Order {
    /// Its status.
    pub status: &'static str,
    /// The version of its newest event.
    pub version: i32,
    /// What it costs.
    pub total: i64,
    /// In which currency.
    pub currency: String,
    /// What was ordered: pieces by product.
    pub lines: Vec<(Uuid, i64)>,
    /// What was taken, once for each event that says so.
    pub captures: Vec<i64>,
    /// Refunds that were asked for and have no outcome yet: how much, and since when.
    pub open_refunds: HashMap<String, (i64, Timestamp)>,
    /// What was returned.
    pub refunded: i64,
    /// Why it was rejected.
    pub rejected_for: String,
    /// Where in the log its newest event is that inventory acts upon.
    pub told_stock: i64,
    /// Where in the log its newest event is that payments act upon; 0 when there is none.
    pub told_payments: i64,
    /// The last payment event was noted early: the one that follows is the same payment.
    noted: bool,
}

impl Order {
    /// What was taken.
    pub fn captured(&self) -> i64 {
        self.captures.iter().sum()
    }

    /// True when nothing more will happen by itself.
    pub fn is_settled(&self) -> bool {
        !matches!(self.status, "created" | "validated" | "paid" | "") && self.open_refunds.is_empty()
    }

    /// True when the goods are gone.
    pub fn is_delivered(&self) -> bool {
        matches!(self.status, "completed" | "partially_refunded" | "refunded")
    }

    fn apply(&mut self, event: &Envelope) -> Result<(), DecodeError> {
        self.version = self.version.max(event.version);
        match event.kind.as_ref() {
            proto::OrderCreated::KIND => {
                let created: proto::OrderCreated = event.decode()?;
                self.status = "created";
                self.lines = lines(event, &created)?;
                self.currency =
                    created.total.as_ref().map(|total| total.currency.clone()).unwrap_or_default();
                self.total = amount(created.total);
                self.told_stock = event.position;
            }
            proto::OrderValidated::KIND => {
                self.status = "validated";
                self.told_payments = event.position;
            }
            proto::OrderRejected::KIND => {
                self.status = "rejected";
                self.rejected_for = event.decode::<proto::OrderRejected>()?.reason_code;
                self.told_stock = event.position;
            }
            proto::OrderPaymentNoted::KIND => {
                self.captures.push(amount(event.decode::<proto::OrderPaymentNoted>()?.amount));
                self.noted = true;
            }
            proto::OrderPaymentProcessed::KIND => {
                self.status = "paid";
                let taken = amount(event.decode::<proto::OrderPaymentProcessed>()?.amount);
                let same = std::mem::take(&mut self.noted) && self.captures.last() == Some(&taken);
                if !same {
                    self.captures.push(taken);
                }
            }
            proto::OrderCompleted::KIND => {
                self.status = "completed";
                self.told_stock = event.position;
            }
            proto::OrderCancelled::KIND => {
                self.status = "cancelled";
                self.told_stock = event.position;
                self.told_payments = event.position;
            }
            proto::OrderRefundRequested::KIND => {
                let asked: proto::OrderRefundRequested = event.decode()?;
                self.open_refunds.insert(asked.refund_id, (amount(asked.amount), event.occurred_at));
                self.told_payments = event.position;
            }
            proto::OrderRefunded::KIND => {
                let done: proto::OrderRefunded = event.decode()?;
                self.open_refunds.remove(&done.refund_id);
                self.refunded += amount(done.amount);
                if self.is_delivered() {
                    let all = self.refunded == self.captured();
                    self.status = if all { "refunded" } else { "partially_refunded" };
                }
            }
            proto::OrderRefundFailed::KIND => {
                self.open_refunds.remove(&event.decode::<proto::OrderRefundFailed>()?.refund_id);
            }
            _ => {}
        }
        Ok(())
    }
}

fn lines(event: &Envelope, created: &proto::OrderCreated) -> Result<Vec<(Uuid, i64)>, DecodeError> {
    let mut lines = BTreeMap::new();
    for line in &created.lines {
        let product: Uuid = line
            .product_id
            .parse()
            .map_err(|problem: uuid::Error| event.unreadable::<proto::OrderCreated>(problem))?;
        *lines.entry(product).or_default() += i64::from(line.quantity);
    }
    Ok(lines.into_iter().collect())
}

/// An amount of money; none is nothing.
pub fn amount(money: Option<Money>) -> i64 {
    money.map_or(0, |money| money.amount)
}

/// Every order, from its events.
pub async fn read(world: &World) -> Result<HashMap<Uuid, Order>, Failure> {
    let store = world.order_events();
    let mut orders: HashMap<Uuid, Order> = HashMap::new();
    let mut position = 0;
    loop {
        let page = store.log(position, PAGE).await?;
        for event in &page {
            position = event.position;
            let order = orders.entry(event.key).or_default();
            order.apply(event).map_err(|error| Failure::doing("an event of an order", error))?;
        }
        if page.len() < PAGE as usize {
            return Ok(orders);
        }
    }
}
