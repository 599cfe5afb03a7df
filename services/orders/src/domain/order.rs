//! What an order is.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viscount_contracts::{Money, OrderId, PaymentId, ProductId, Quantity, RefundId, UserId};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted and kept; stock is being reserved.
    Created,
    /// Every line is reserved; payment is under way.
    Validated,
    /// Paid; fulfilment is under way.
    Paid,
    /// Fulfilled.
    Completed,
    /// Refused: no stock, or no payment.
    Rejected,
    /// Called off.
    Cancelled,
    /// Completed, and some of the money was returned.
    PartiallyRefunded,
    /// Completed, and all of the money was returned.
    Refunded,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 8] = [
        Status::Created,
        Status::Validated,
        Status::Paid,
        Status::Completed,
        Status::Rejected,
        Status::Cancelled,
        Status::PartiallyRefunded,
        Status::Refunded,
    ];

    /// True when the order no longer waits for anything of its own.
    pub const fn is_final(self) -> bool {
        !matches!(self, Status::Created | Status::Validated | Status::Paid)
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Validated => "validated",
            Status::Paid => "paid",
            Status::Completed => "completed",
            Status::Rejected => "rejected",
            Status::Cancelled => "cancelled",
            Status::PartiallyRefunded => "partially_refunded",
            Status::Refunded => "refunded",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One product of an order, at the price of that moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub product_id: ProductId,
    /// Its stock keeping unit.
    pub sku: String,
    /// Its name as it was then.
    pub name: String,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one piece.
    pub unit_price: Money,
    /// The price of all pieces.
    pub line_total: Money,
}

/// How the buyer pays.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentMeans {
    /// `card`.
    pub method: String,
    /// The provider's token; never a card number.
    pub token: String,
}

/// Where the goods go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Address {
    /// Who receives them.
    pub name: String,
    /// Street and house, one to four lines.
    pub lines: Vec<String>,
    /// Town.
    pub city: String,
    /// Postal code, empty where there is none.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// Money that was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Payment {
    /// The payment.
    pub id: PaymentId,
    /// How much.
    pub amount: Money,
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// The provider is being asked.
    Requested,
    /// The money is back.
    Done,
    /// The provider refused; nothing came back.
    Failed,
}

/// One act of returning money.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refund {
    /// Has its effect once.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// How far.
    pub state: RefundState,
}

/// A line that could not be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortLine {
    /// The product.
    pub product_id: ProductId,
    /// Pieces ordered.
    pub wanted: u32,
    /// Pieces there were.
    pub available: u32,
}

/// Why an order ended as it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// `insufficient_stock`, `payment_declined`, or who cancelled: `customer`, `admin`, `deadline`.
    pub code: String,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// For `insufficient_stock`: every line that was short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ShortLine>,
}

/// An order as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Which.
    pub id: OrderId,
    /// Whose.
    pub customer: UserId,
    /// Where it stands.
    pub status: Status,
    /// How many events it has had.
    pub version: i32,
    /// What was ordered; fixed, and shared by all states of the order.
    pub lines: Arc<[Line]>,
    /// What it costs.
    pub total: Money,
    /// How it is paid.
    pub means: PaymentMeans,
    /// Money that was taken, as far as is known.
    pub payment: Option<Payment>,
    /// Every refund there was.
    pub refunds: Vec<Refund>,
    /// Why it ended, when it ended badly.
    pub reason: Option<Reason>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Order {
    /// Money that is back at the buyer.
    pub fn refunded(&self) -> Money {
        self.sum_refunds(|state| state == RefundState::Done)
    }

    /// Money that was taken and is neither back nor on its way back.
    pub fn refundable(&self) -> Money {
        let taken = self.payment.map_or(Money::zero(self.total.currency()), |payment| payment.amount);
        let returning = self.sum_refunds(|state| state != RefundState::Failed);
        taken.checked_sub(returning).unwrap_or(Money::zero(self.total.currency()))
    }

    /// True when nothing more will happen by itself: final, and no refund under way.
    pub fn is_settled(&self) -> bool {
        self.status.is_final() && !self.refunds.iter().any(|refund| refund.state == RefundState::Requested)
    }

    /// The refund of this id.
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    fn sum_refunds(&self, counts: impl Fn(RefundState) -> bool) -> Money {
        let amount = self
            .refunds
            .iter()
            .filter(|refund| counts(refund.state))
            .map(|refund| refund.amount.amount())
            .sum();
        Money::new(amount, self.total.currency())
    }
}
