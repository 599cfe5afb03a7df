//! The order and its events as clients see them. No payment token, no address.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use viscount_chassis::telemetry::TraceContext;
use viscount_contracts::{Money, OrderId, UserId};

use crate::domain::{Event, Order, Status};

/// An order as clients see it.
#[derive(Debug, Clone, Serialize)]
pub struct OrderView {
    /// Which.
    pub id: OrderId,
    /// Where it stands.
    pub status: Status,
    /// How many events it has had; also its `ETag`.
    pub version: i32,
    /// Whose.
    pub customer_id: UserId,
    /// `[{product_id, sku, name, quantity, unit_price, line_total}]`
    pub lines: Box<RawValue>,
    /// What it costs.
    pub total: Money,
    /// What has come back.
    pub refunded: Money,
    /// `{code, detail?, lines?}` when it ended badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<RawValue>>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl From<&Order> for OrderView {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id,
            status: order.status,
            version: order.version,
            customer_id: order.customer,
            lines: raw(&*order.lines),
            total: order.total,
            refunded: order.refunded(),
            reason: order.reason.as_ref().map(raw),
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// Why it ended badly, as JSON.
pub fn reason_json(order: &Order) -> Option<String> {
    order.reason.as_ref().and_then(|reason| serde_json::to_string(reason).ok())
}

fn raw(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_default()
}

/// One event of an order as clients see it: in the history and in the stream.
#[derive(Debug, Clone, Serialize)]
pub struct EventView {
    /// Whose event.
    pub order_id: OrderId,
    /// 1, 2, 3, … without a gap.
    pub version: i32,
    /// Its kind, such as `OrderValidated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The order's status after it.
    pub status: Status,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What there is to know.
    pub data: Value,
    /// The trace context of its event, for the frame that tells of it.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
}

impl EventView {
    /// The event that led to `after`.
    pub fn new(kind: &str, event: &Event, after: &Order) -> Self {
        Self {
            order_id: after.id,
            version: after.version,
            kind: kind.to_owned(),
            status: after.status,
            occurred_at: after.updated_at,
            data: data(event, after),
            trace: None,
        }
    }
}

fn data(event: &Event, after: &Order) -> Value {
    match event {
        Event::Created(_) => json!({ "total": after.total, "lines": &*after.lines }),
        Event::Validated | Event::Completed => json!({ "total": after.total }),
        Event::Rejected { .. } => json!({ "reason": after.reason }),
        Event::PaymentNoted(payment) | Event::PaymentProcessed(payment) => {
            json!({ "payment_id": payment.id, "amount": payment.amount })
        }
        Event::Cancelled { by, reason } => json!({ "cancelled_by": by.name(), "reason": reason }),
        Event::RefundRequested { refund, amount, reason } => {
            json!({ "refund_id": refund, "amount": amount, "reason": reason })
        }
        Event::Refunded { refund, amount } => {
            json!({ "refund_id": refund, "amount": amount, "refunded": after.refunded() })
        }
        Event::RefundFailed { refund, detail } => json!({ "refund_id": refund, "detail": detail }),
    }
}
