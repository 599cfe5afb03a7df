//! What the orders' events alone say of each order.

use std::collections::HashMap;

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
    /// How many events it has.
    pub events: i32,
    /// What it costs.
    pub total: i64,
    /// What was taken, once for each event that says so.
    pub captures: Vec<i64>,
    /// Refunds that were asked for and have no outcome yet.
    pub open_refunds: HashMap<String, i64>,
    /// What was returned.
    pub refunded: i64,
    /// Why it was rejected.
    pub rejected_for: String,
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

    fn apply(&mut self, event: &Envelope) -> Result<(), DecodeError> {
        self.events += 1;
        self.version = self.version.max(event.version);
        match event.kind.as_ref() {
            proto::OrderCreated::KIND => {
                self.status = "created";
                self.total = amount(event.decode::<proto::OrderCreated>()?.total);
            }
            proto::OrderValidated::KIND => self.status = "validated",
            proto::OrderRejected::KIND => {
                self.status = "rejected";
                self.rejected_for = event.decode::<proto::OrderRejected>()?.reason_code;
            }
            proto::OrderPaymentNoted::KIND => {
                self.captures.push(amount(event.decode::<proto::OrderPaymentNoted>()?.amount));
            }
            proto::OrderPaymentProcessed::KIND => {
                self.status = "paid";
                let taken = amount(event.decode::<proto::OrderPaymentProcessed>()?.amount);
                // A payment that was noted early is the same payment.
                if self.captures != [taken] {
                    self.captures.push(taken);
                }
            }
            proto::OrderCompleted::KIND => self.status = "completed",
            proto::OrderCancelled::KIND => self.status = "cancelled",
            proto::OrderRefundRequested::KIND => {
                let asked: proto::OrderRefundRequested = event.decode()?;
                self.open_refunds.insert(asked.refund_id, amount(asked.amount));
            }
            proto::OrderRefunded::KIND => {
                let done: proto::OrderRefunded = event.decode()?;
                self.open_refunds.remove(&done.refund_id);
                self.refunded += amount(done.amount);
                if matches!(self.status, "completed" | "partially_refunded" | "refunded") {
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

fn amount(money: Option<Money>) -> i64 {
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
