//! What happened to an order.

use viscount_contracts::{Money, PaymentId, RefundId};

use super::{CancelledBy, Draft, Payment, ShortLine};

/// One thing that happened. Stored and published as protobuf; see `store/codec.rs`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It was accepted.
    Created(Box<Draft>),
    /// Every line is reserved.
    Validated,
    /// It was refused.
    Rejected {
        /// `insufficient_stock` or `payment_declined`.
        code: &'static str,
        /// In words.
        detail: String,
        /// Lines that were short.
        short: Vec<ShortLine>,
    },
    /// A payment was reported that the order was not waiting for (not yet, or no longer): kept as evidence.
    PaymentNoted(Payment),
    /// It is paid.
    PaymentProcessed(Payment),
    /// It is fulfilled.
    Completed,
    /// It was called off.
    Cancelled {
        /// By whom.
        by: CancelledBy,
        /// Why.
        reason: String,
    },
    /// Money shall be returned.
    RefundRequested {
        /// This act.
        refund: RefundId,
        /// How much.
        amount: Money,
        /// Why.
        reason: String,
    },
    /// Money was returned.
    Refunded {
        /// This act.
        refund: RefundId,
        /// How much.
        amount: Money,
    },
    /// The provider refused to return money.
    RefundFailed {
        /// This act.
        refund: RefundId,
        /// Why.
        detail: String,
    },
}

impl Event {
    /// A payment with its amount.
    pub(super) fn payment(id: PaymentId, amount: Money) -> Payment {
        Payment { id, amount }
    }
}
