//! What is known of one order's payment.

use jiff::Timestamp;
use viscount_contracts::{Money, OrderId, PaymentId, RefundId, UserId};

use super::command::{CallId, Terms};

/// The payment of one order: at most one charge, and the refunds that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Payment {
    pub(super) order: OrderId,
    pub(super) version: i32,
    pub(super) customer: Option<UserId>,
    pub(super) charge: Charge,
    /// In the order in which they were asked for.
    pub(super) refunds: Vec<Refund>,
}

/// How far the one charge of an order is.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Charge {
    /// Nobody has asked for money yet.
    #[default]
    Expected,
    /// The order was cancelled before money was taken; none will be.
    Voided,
    /// The provider was asked, and its answer is not known.
    Pending {
        /// What was asked for.
        terms: Terms,
        /// When the order was cancelled meanwhile. From then on the provider is asked, but not charged again.
        cancelled: Option<Timestamp>,
    },
    /// The money was taken.
    Captured {
        /// How much.
        amount: Money,
        /// The provider's name for the charge.
        reference: String,
    },
    /// The provider refused; no money was taken.
    Failed {
        /// How much was asked for.
        amount: Money,
        /// Why, for programs.
        code: String,
        /// Why, for people.
        detail: String,
    },
}

/// One act of returning money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its own key; has its effect once.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// How far it is.
    pub state: RefundState,
}

/// How far a refund is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundState {
    /// Asked for, and not known to be done or refused.
    Open,
    /// The money was returned.
    Done {
        /// The provider's name for the refund.
        reference: String,
    },
    /// Nothing was returned for it.
    Failed {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        detail: String,
    },
}

impl Payment {
    /// An order of which nothing is known.
    pub fn of(order: OrderId) -> Self {
        Self { order, version: 0, customer: None, charge: Charge::default(), refunds: Vec::new() }
    }

    /// The order that is paid.
    pub fn order(&self) -> OrderId {
        self.order
    }

    /// An order is paid once, so its payment carries the order's own id.
    pub fn id(&self) -> PaymentId {
        PaymentId::from(self.order.uuid())
    }

    /// How many events have made it.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Who pays, once that is known.
    pub fn customer(&self) -> Option<UserId> {
        self.customer
    }

    /// How far the charge is.
    pub fn charge(&self) -> &Charge {
        &self.charge
    }

    /// Every refund that was asked for, oldest first.
    pub fn refunds(&self) -> &[Refund] {
        &self.refunds
    }

    /// The refund with this id.
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// The sum that was asked for, once that is known.
    pub fn amount(&self) -> Option<Money> {
        match &self.charge {
            Charge::Expected | Charge::Voided => None,
            Charge::Pending { terms, .. } => Some(terms.amount),
            Charge::Captured { amount, .. } | Charge::Failed { amount, .. } => Some(*amount),
        }
    }

    /// The sum that was taken.
    pub fn captured(&self) -> i64 {
        match &self.charge {
            Charge::Captured { amount, .. } => amount.amount(),
            _ => 0,
        }
    }

    /// The sum that was returned.
    pub fn refunded(&self) -> i64 {
        self.sum(|refund| matches!(refund.state, RefundState::Done { .. }))
    }

    /// The calls whose answers this payment waits for. They are asked again, for ever, until they are known.
    pub fn open_calls(&self) -> Vec<CallId> {
        match &self.charge {
            Charge::Pending { .. } => vec![CallId::Charge],
            Charge::Captured { .. } => {
                let open = self.refunds.iter().filter(|refund| refund.state == RefundState::Open);
                open.map(|refund| CallId::Refund(refund.id)).collect()
            }
            // Refunds that were asked for before their payment is known are evidence, and wait for the charge.
            Charge::Expected | Charge::Voided | Charge::Failed { .. } => Vec::new(),
        }
    }

    /// True when its charge is decided and no answer is waited for: what may come still is a new refund.
    pub fn is_settled(&self) -> bool {
        !matches!(self.charge, Charge::Expected | Charge::Pending { .. }) && self.open_calls().is_empty()
    }

    /// The sum of refunds that are not refused: what may not be returned a second time.
    pub(super) fn committed_to_refunds(&self) -> i64 {
        self.sum(|refund| !matches!(refund.state, RefundState::Failed { .. }))
    }

    fn sum(&self, counts: impl Fn(&Refund) -> bool) -> i64 {
        let amounts =
            self.refunds.iter().filter(|refund| counts(refund)).map(|refund| refund.amount.amount());
        // Open evidence is not checked against the charge yet and may be absurd: saturate, so that nothing fits.
        amounts.fold(0, i64::saturating_add)
    }
}
