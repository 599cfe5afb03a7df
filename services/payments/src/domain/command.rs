//! What is asked of a payment, what it asks of the provider, and what comes back.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::{Money, OrderId, RefundId, UserId};

/// What an order is to be charged.
#[derive(Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who pays.
    pub customer: UserId,
    /// How much.
    pub amount: Money,
    /// The provider's token for the means of payment.
    pub token: String,
}

impl fmt::Debug for Terms {
    /// Leaves out the token: it is as good as money.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("amount", &self.amount).finish_non_exhaustive()
    }
}

/// What the orders service wants of a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Take the money.
    Charge(Terms),
    /// Return this much, once for this id.
    Refund {
        /// The key of this one act.
        id: RefundId,
        /// How much.
        amount: Money,
    },
    /// The order is cancelled: take nothing from now on.
    Cancel {
        /// Why.
        reason: String,
    },
}

/// A question to the provider. Asking it twice has its effect once: it carries its own idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Authorise and capture.
    Charge(Terms),
    /// Ask what became of the charge, without charging.
    FindCharge,
    /// Return money.
    Refund {
        /// The key of this one act.
        id: RefundId,
        /// How much.
        amount: Money,
        /// The provider's name for the charge.
        charge: String,
    },
}

/// Which call of a payment is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallId {
    /// The charge.
    Charge,
    /// One refund.
    Refund(RefundId),
}

impl CallId {
    /// `charge` or `refund`.
    pub fn kind(self) -> &'static str {
        match self {
            CallId::Charge => "charge",
            CallId::Refund(_) => "refund",
        }
    }

    /// The idempotency key towards the provider: the order's id for its charge, the refund's own for a refund.
    pub fn key(self, order: OrderId) -> Uuid {
        match self {
            CallId::Charge => order.uuid(),
            CallId::Refund(id) => id.uuid(),
        }
    }
}

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done {
        /// The provider's name for it.
        reference: String,
        /// The sum that the provider says it moved: the truth, whatever was asked.
        amount: Money,
    },
    /// The provider refused it for good; nothing was moved.
    Refused {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        detail: String,
    },
    /// The provider says that it was never asked.
    NeverSeen,
    /// Nobody knows.
    Unknown,
}

/// What happened, or is wanted, with all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// An order wants its money taken; `answer` when [`super::Payment::asks`] named a call for it.
    Charge {
        /// What to charge.
        terms: Terms,
        /// What came of the call.
        answer: Option<Answer>,
    },
    /// The provider has told what became of the charge: asked again, or by itself.
    ChargeAnswered {
        /// Who pays, when the teller knows.
        customer: Option<UserId>,
        /// How much was asked for, when the teller knows.
        amount: Option<Money>,
        /// What became of it.
        answer: Answer,
    },
    /// An order wants money returned; `answer` when [`super::Payment::asks`] named a call for it.
    Refund {
        /// The key of this one act.
        id: RefundId,
        /// How much.
        amount: Money,
        /// What came of the call.
        answer: Option<Answer>,
    },
    /// The provider has told what became of a refund: asked again, or by itself.
    RefundAnswered {
        /// The key of the act.
        id: RefundId,
        /// What became of it.
        answer: Answer,
    },
    /// The order is cancelled.
    Cancel {
        /// Why.
        reason: String,
    },
    /// The provider has not seen the charge of a cancelled order, long after the last time it was asked to make it.
    GiveUp,
}

impl Intent {
    /// The command for this intent.
    pub fn with(self, answer: Option<Answer>) -> Command {
        match self {
            Intent::Charge(terms) => Command::Charge { terms, answer },
            Intent::Refund { id, amount } => Command::Refund { id, amount, answer },
            Intent::Cancel { reason } => Command::Cancel { reason },
        }
    }
}

/// When a pending charge of a cancelled order counts as never made, if the provider says so.
#[derive(Debug, Clone, Copy)]
pub struct Quiet(pub std::time::Duration);

impl Quiet {
    /// True when nothing that was sent before `since` can still be on its way at `now`.
    pub fn is_over(self, since: Timestamp, now: Timestamp) -> bool {
        now.duration_since(since).unsigned_abs() >= self.0 && now > since
    }
}
