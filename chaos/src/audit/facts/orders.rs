//! An order, from its events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_contracts::{
    Event as Contract,
    events::{common::v1::Money, orders::v1 as proto},
};

use super::{Event, id, money, pieces, read};

/// An order, version by version.
#[derive(Debug, Default)]
pub struct Order {
    /// Who bought; `None` when the first event is missing.
    pub buyer: Option<Uuid>,
    /// What was ordered: pieces by product.
    pub pieces: BTreeMap<Uuid, i64>,
    /// The lines as clients see them.
    pub lines: Value,
    /// What it costs.
    pub total: i64,
    /// In which currency.
    pub currency: String,
    /// The provider's token.
    pub payment_token: String,
    /// What it was after each of its events, in the order of the log.
    pub steps: Vec<Step>,
    /// Payments that were taken for certain: the event, and how much.
    pub captures: Vec<(usize, i64)>,
    /// Payments that came when the order did not wait for one.
    pub noted: Vec<(usize, i64)>,
    /// Refunds by id.
    pub refunds: BTreeMap<Uuid, Refund>,
    /// Currencies of its events that are not the order's.
    pub strange: BTreeSet<String>,
    /// Why it ended badly, as clients see it.
    pub reason: Option<Value>,
    /// By whom it was cancelled, and by which event.
    pub cancelled: Vec<(usize, String)>,
}

/// An order after one of its events.
#[derive(Debug)]
pub struct Step {
    /// The event: its place in the data set.
    pub event: usize,
    /// The event's position in the log.
    pub position: i64,
    /// The version.
    pub version: i32,
    /// The status.
    pub status: &'static str,
    /// What has come back by then.
    pub refunded: i64,
    /// Final, and no refund under way.
    pub settled: bool,
    /// When.
    pub at: Timestamp,
    /// What clients are told of the event.
    pub data: Value,
}

/// Money that goes back.
#[derive(Debug)]
pub struct Refund {
    /// The event that asked for it.
    pub asked_by: usize,
    /// How much was asked for.
    pub amount: i64,
    /// How much was left to be returned by then.
    pub left: i64,
    /// How far it is.
    pub state: RefundState,
    /// How often it was done, and how much each time.
    pub done: Vec<(usize, i64)>,
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// Asked for.
    Requested,
    /// The money is back.
    Done,
    /// Nothing came back.
    Failed,
}

impl Order {
    /// The status after all events; `missing` when there is none.
    pub fn status(&self) -> &'static str {
        self.steps.last().map_or("missing", |step| step.status)
    }

    /// The newest version.
    pub fn version(&self) -> i32 {
        self.steps.last().map_or(0, |step| step.version)
    }

    /// What it was at a version.
    pub fn at(&self, version: i64) -> Option<&Step> {
        // Versions are contiguous nearly always: it is where it should be.
        let near = usize::try_from(version - 1).ok().and_then(|at| self.steps.get(at));
        near.filter(|step| i64::from(step.version) == version)
            .or_else(|| self.steps.iter().find(|step| i64::from(step.version) == version))
    }

    /// True when the order waits for nothing of its own.
    pub fn is_final(&self) -> bool {
        !waits(self.status())
    }

    /// True when it is final and no refund is under way.
    pub fn is_settled(&self) -> bool {
        self.steps.last().is_some_and(|step| step.settled)
    }

    /// True when its goods are gone.
    pub fn is_delivered(&self) -> bool {
        matches!(self.status(), "completed" | "partially_refunded" | "refunded")
    }

    /// What was taken, each payment once: one that was noted is the same one that is processed later.
    pub fn captured(&self) -> i64 {
        self.captures.last().or(self.noted.last()).map_or(0, |(_, amount)| *amount)
    }

    /// What has come back.
    pub fn refunded(&self) -> i64 {
        self.refunds.values().flat_map(|refund| &refund.done).map(|(_, amount)| amount).sum()
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, at: usize, event: &Event) -> Result<(), String> {
        let mut status = self.steps.last().map_or("missing", |step| step.status);
        let read = self.apply(at, event, &mut status);
        let (data, problem) = match read {
            Ok(data) => (data, Ok(())),
            Err(problem) => (Value::Null, Err(problem)),
        };
        let open = self.refunds.values().any(|refund| refund.state == RefundState::Requested);
        self.steps.push(Step {
            event: at,
            position: event.position,
            version: event.version,
            status,
            refunded: self.refunded(),
            settled: !waits(status) && !open,
            at: event.at,
            data,
        });
        problem
    }

    fn apply(&mut self, at: usize, event: &Event, status: &mut &'static str) -> Result<Value, String> {
        Ok(match event.kind.as_ref() {
            proto::OrderCreated::KIND => {
                *status = "created";
                self.created(read(event)?)?
            }
            proto::OrderValidated::KIND => {
                *status = "validated";
                json!({ "total": self.money(self.total) })
            }
            proto::OrderRejected::KIND => {
                *status = "rejected";
                let rejected: proto::OrderRejected = read(event)?;
                let mut reason = json!({ "code": rejected.reason_code });
                if !rejected.detail.is_empty() {
                    reason["detail"] = rejected.detail.into();
                }
                if !rejected.short_lines.is_empty() {
                    reason["lines"] = rejected.short_lines.iter().map(short).collect();
                }
                self.reason = Some(reason.clone());
                json!({ "reason": reason })
            }
            proto::OrderPaymentNoted::KIND => {
                let noted: proto::OrderPaymentNoted = read(event)?;
                let amount = self.paid(noted.amount)?;
                self.noted.push((at, amount));
                json!({ "payment_id": noted.payment_id, "amount": self.money(amount) })
            }
            proto::OrderPaymentProcessed::KIND => {
                *status = "paid";
                let paid: proto::OrderPaymentProcessed = read(event)?;
                let amount = self.paid(paid.amount)?;
                self.captures.push((at, amount));
                json!({ "payment_id": paid.payment_id, "amount": self.money(amount) })
            }
            proto::OrderCompleted::KIND => {
                *status = "completed";
                json!({ "total": self.money(self.total) })
            }
            proto::OrderCancelled::KIND => {
                *status = "cancelled";
                let cancelled: proto::OrderCancelled = read(event)?;
                let mut reason = json!({ "code": cancelled.cancelled_by });
                if !cancelled.reason.is_empty() {
                    reason["detail"] = cancelled.reason.clone().into();
                }
                self.reason = Some(reason);
                self.cancelled.push((at, cancelled.cancelled_by.clone()));
                json!({ "cancelled_by": cancelled.cancelled_by, "reason": cancelled.reason })
            }
            proto::OrderRefundRequested::KIND => {
                let asked: proto::OrderRefundRequested = read(event)?;
                let (refund, amount) = (id(&asked.refund_id)?, self.paid(asked.amount)?);
                let left = self.left();
                self.refunds.entry(refund).or_insert(Refund {
                    asked_by: at,
                    amount,
                    left,
                    state: RefundState::Requested,
                    done: Vec::new(),
                });
                json!({ "refund_id": refund, "amount": self.money(amount), "reason": asked.reason })
            }
            proto::OrderRefunded::KIND => {
                let done: proto::OrderRefunded = read(event)?;
                let (refund, amount) = (id(&done.refund_id)?, self.paid(done.amount)?);
                let known = self.refunds.get_mut(&refund).ok_or("it returns what nobody asked for")?;
                known.state = RefundState::Done;
                known.done.push((at, amount));
                if matches!(*status, "completed" | "partially_refunded" | "refunded") {
                    let all = self.refunded() == self.captured();
                    *status = if all { "refunded" } else { "partially_refunded" };
                }
                json!({ "refund_id": refund, "amount": self.money(amount), "refunded": self.money(self.refunded()) })
            }
            proto::OrderRefundFailed::KIND => {
                let failed: proto::OrderRefundFailed = read(event)?;
                let refund = id(&failed.refund_id)?;
                let known = self.refunds.get_mut(&refund).ok_or("nobody asked for this refund")?;
                known.state = RefundState::Failed;
                json!({ "refund_id": refund, "detail": failed.detail })
            }
            other => return Err(format!("{other} is no event of orders")),
        })
    }

    fn created(&mut self, created: proto::OrderCreated) -> Result<Value, String> {
        self.buyer = Some(id(&created.customer_id)?);
        self.pieces = pieces(created.lines.iter().map(|line| (line.product_id.as_str(), line.quantity)))?;
        self.lines = created.lines.iter().map(seen).collect();
        (self.total, self.currency) = money(created.total)?;
        self.payment_token = created.payment_token;
        Ok(json!({ "total": self.money(self.total), "lines": self.lines }))
    }

    /// An amount of an event, whose currency is taken note of.
    fn paid(&mut self, said: Option<Money>) -> Result<i64, String> {
        let (amount, currency) = money(said)?;
        if currency != self.currency {
            self.strange.insert(currency);
        }
        Ok(amount)
    }

    /// What was taken, less what has been asked back and has not failed.
    fn left(&self) -> i64 {
        let back = self.refunds.values().filter(|refund| refund.state != RefundState::Failed);
        self.captured() - back.map(|refund| refund.amount).sum::<i64>()
    }

    /// An amount as clients see it.
    pub fn money(&self, amount: i64) -> Value {
        json!({ "amount": amount, "currency": self.currency })
    }
}

/// True of the statuses in which an order waits for something of its own.
pub fn waits(status: &str) -> bool {
    matches!(status, "created" | "validated" | "paid" | "missing")
}

/// A line of which there was not enough, as clients see it.
fn short(line: &proto::ShortLine) -> Value {
    json!({ "product_id": line.product_id, "wanted": line.wanted, "available": line.available })
}

/// A line as clients see it.
fn seen(line: &proto::OrderLine) -> Value {
    let money = |money: &Option<Money>| {
        money.as_ref().map(|money| json!({ "amount": money.amount, "currency": money.currency }))
    };
    json!({
        "product_id": line.product_id,
        "sku": line.sku,
        "name": line.name,
        "quantity": line.quantity,
        "unit_price": money(&line.unit_price),
        "line_total": money(&line.line_total),
    })
}
