//! What can happen to a payment.

use viscount_contracts::{Money, RefundId, UserId};

use super::command::Terms;

/// Something that happened. Each is one event of the payments topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The provider was asked for the money; its answer is not known.
    Pending {
        /// What was asked for.
        terms: Terms,
    },
    /// The order was cancelled while the charge was pending.
    CancelNoted {
        /// Why.
        reason: String,
    },
    /// The order was cancelled before money was taken; none will be.
    Voided {
        /// Why.
        reason: String,
    },
    /// The money was taken.
    Processed {
        /// Who paid, when known.
        customer: Option<UserId>,
        /// How much.
        amount: Money,
        /// The provider's name for it.
        reference: String,
    },
    /// The provider refused; no money was taken.
    Failed {
        /// Who should have paid, when known.
        customer: Option<UserId>,
        /// How much was asked for.
        amount: Money,
        /// Why, for programs.
        code: String,
        /// Why, for people.
        detail: String,
    },
    /// A refund was asked for and is not done yet.
    RefundPending {
        /// Its key.
        id: RefundId,
        /// How much.
        amount: Money,
    },
    /// Money was returned.
    Refunded {
        /// Its key.
        id: RefundId,
        /// How much.
        amount: Money,
        /// The provider's name for it.
        reference: String,
    },
    /// Nothing was returned for this refund.
    RefundFailed {
        /// Its key.
        id: RefundId,
        /// How much was asked for.
        amount: Money,
        /// Why, for programs.
        code: String,
        /// Why, for people.
        detail: String,
    },
}
