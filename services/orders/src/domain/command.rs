//! What may be asked of an order, and why it may say no.

use viscount_contracts::{Money, PaymentId, RefundId};

use super::{Draft, ShortLine, Status};

/// Who called an order off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelledBy {
    /// The buyer.
    Customer,
    /// An administrator.
    Admin,
    /// The order itself, because what it waited for did not come in time.
    Deadline,
}

impl CancelledBy {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            CancelledBy::Customer => "customer",
            CancelledBy::Admin => "admin",
            CancelledBy::Deadline => "deadline",
        }
    }
}

/// What may be asked of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin.
    Create(Box<Draft>),
    /// Inventory holds every line.
    ConfirmStock,
    /// Inventory holds no line.
    RejectStock {
        /// Every line that was short.
        short: Vec<ShortLine>,
    },
    /// Payments has taken the money.
    RecordPayment {
        /// The payment.
        payment: PaymentId,
        /// How much was taken.
        amount: Money,
    },
    /// Payments could not take the money.
    DeclinePayment {
        /// The provider's code.
        code: String,
        /// In words.
        detail: String,
    },
    /// Fulfilment is done.
    Complete,
    /// Call it off.
    Cancel {
        /// Who asks.
        by: CancelledBy,
        /// Why.
        reason: String,
    },
    /// What this status waited for did not come in time.
    Expire {
        /// The status whose deadline has passed. Once the order has left it, the deadline means nothing.
        status: Status,
    },
    /// Return money.
    RequestRefund {
        /// The id of this act; asked twice, done once.
        refund: RefundId,
        /// How much; all that is left when absent.
        amount: Option<Money>,
        /// Why.
        reason: String,
    },
    /// The money of a refund is back.
    RecordRefund {
        /// Which.
        refund: RefundId,
        /// How much.
        amount: Money,
    },
    /// The provider refused a refund.
    FailRefund {
        /// Which.
        refund: RefundId,
        /// Why.
        detail: String,
    },
}

impl Command {
    /// A short constant name, for operations; nothing of what is in it.
    pub const fn name(&self) -> &'static str {
        match self {
            Command::Create(_) => "create",
            Command::ConfirmStock => "confirm_stock",
            Command::RejectStock { .. } => "reject_stock",
            Command::RecordPayment { .. } => "record_payment",
            Command::DeclinePayment { .. } => "decline_payment",
            Command::Complete => "complete",
            Command::Cancel { .. } => "cancel",
            Command::Expire { .. } => "expire",
            Command::RequestRefund { .. } => "request_refund",
            Command::RecordRefund { .. } => "record_refund",
            Command::FailRefund { .. } => "fail_refund",
        }
    }
}

/// Why an order says no.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// There is no such order.
    #[error("there is no such order")]
    Unknown,
    /// The order exists already.
    #[error("the order exists already")]
    Exists,
    /// Too late, or too early, for this.
    #[error("an order that is {status} cannot be {wish}")]
    WrongStatus {
        /// What it is.
        status: Status,
        /// What it was asked to become.
        wish: &'static str,
    },
    /// More than is left.
    #[error("at most {left} can be refunded")]
    RefundTooLarge {
        /// What is left.
        left: Money,
    },
    /// Zero, less, or another currency than the order's.
    #[error("a refund is an amount above zero in the currency of the order")]
    RefundAmount,
}
