//! What one step changes in the service's own tables.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use viscount_chassis::store::NewEvent;
use viscount_contracts::Money;

use crate::domain::{CallId, Charge, Event, Payment, Refund};

/// How long after an unanswered question it is asked again for the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A webhook, as its sender names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookId {
    /// Which provider.
    pub provider: &'static str,
    /// The provider's id for this one event.
    pub event: String,
}

/// What one step of one payment changes.
#[derive(Debug, Default)]
pub struct Projection {
    /// The payment as it is after the step, when it changed.
    pub(super) payment: Option<(Payment, Timestamp)>,
    /// The refunds that changed, as they are now.
    pub(super) refunds: Vec<(Refund, Timestamp)>,
    /// Money that moved.
    pub(super) postings: Vec<Posting>,
    /// Questions that are open from now on, and when they are due.
    pub(super) opened: Vec<(CallId, Timestamp)>,
    /// Keys of questions that are no longer open.
    pub(super) closed: Vec<Uuid>,
    /// The webhook that this is the effect of.
    pub(super) webhook: Option<WebhookId>,
}

/// One side of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    pub transaction: Uuid,
    pub account: &'static str,
    pub amount: Money,
}

impl Projection {
    /// What changes when these events (with what was made of them for the store) turn `before` into `after`.
    pub fn of(before: &Payment, after: &Payment, events: &[(Event, NewEvent)], at: Timestamp) -> Self {
        let mut projection = Projection::default();
        for (event, stored) in events {
            let changed = match event {
                Event::Processed { amount, .. } => {
                    projection.post(stored, "provider_balance", "sales", *amount);
                    None
                }
                Event::Refunded { id, amount, .. } => {
                    projection.post(stored, "refunds", "provider_balance", *amount);
                    Some(*id)
                }
                Event::RefundPending { id, .. } | Event::RefundFailed { id, .. } => Some(*id),
                Event::Pending { .. }
                | Event::CancelNoted { .. }
                | Event::Voided { .. }
                | Event::Failed { .. } => None,
            };
            if let Some(refund) = changed.and_then(|id| after.refund(id)) {
                projection.refunds.push((refund.clone(), at));
            }
        }
        let (was, is) = (before.open_calls(), after.open_calls());
        // What waited for its payment is done at once; an unanswered question is left alone for a moment.
        let waited = !matches!(before.charge(), Charge::Captured { .. }) && after.captured() > 0;
        let due = if waited { at } else { at.saturating_add(FIRST_PAUSE).unwrap_or(at) };
        projection.opened = is.iter().filter(|call| !was.contains(call)).map(|call| (*call, due)).collect();
        projection.closed =
            was.iter().filter(|call| !is.contains(call)).map(|call| call.key(after.order())).collect();
        if !events.is_empty() {
            projection.payment = Some((after.clone(), at));
        }
        projection
    }

    /// The same, as the effect of a webhook.
    pub fn caused_by(mut self, webhook: Option<WebhookId>) -> Self {
        self.webhook = webhook;
        self
    }

    /// The end of a deadline for a question that is not open.
    pub fn forget(key: Uuid) -> Self {
        Projection { closed: vec![key], ..Projection::default() }
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        self.payment.is_none() && self.opened.is_empty() && self.closed.is_empty() && self.webhook.is_none()
    }

    /// True when questions were opened.
    pub fn opens(&self) -> bool {
        !self.opened.is_empty()
    }

    fn post(&mut self, event: &NewEvent, debit: &'static str, credit: &'static str, amount: Money) {
        let transaction = event.id.uuid();
        let negative = Money::new(-amount.amount(), amount.currency());
        self.postings.push(Posting { transaction, account: debit, amount });
        self.postings.push(Posting { transaction, account: credit, amount: negative });
    }
}

#[cfg(test)]
mod tests {
    use viscount_contracts::{Currency, OrderId, RefundId, UserId};

    use super::*;
    use crate::{domain::Terms, store::codec::encode};

    fn step(payment: &mut Payment, events: Vec<Event>) -> Projection {
        let at = Timestamp::UNIX_EPOCH;
        let before = payment.clone();
        let events: Vec<_> = events
            .into_iter()
            .map(|event| {
                let stored = encode(payment, payment.version() + 1, &event, at);
                payment.evolve(&event, at);
                (event, stored)
            })
            .collect();
        Projection::of(&before, payment, &events, at)
    }

    #[test]
    fn money_that_moves_is_posted_twice_and_sums_to_zero() {
        let amount = Money::new(500, Currency::GBP);
        let mut payment = Payment::of(OrderId::new());
        let id = RefundId::new();
        let reference = || "r".to_owned();
        let paid =
            step(&mut payment, vec![Event::Processed { customer: None, amount, reference: reference() }]);
        let back = step(&mut payment, vec![Event::Refunded { id, amount, reference: reference() }]);
        for projection in [paid, back] {
            assert_eq!(projection.postings.len(), 2);
            assert_eq!(projection.postings.iter().map(|posting| posting.amount.amount()).sum::<i64>(), 0);
        }
    }

    #[test]
    fn a_deadline_lives_as_long_as_its_question() {
        let amount = Money::new(500, Currency::GBP);
        let mut payment = Payment::of(OrderId::new());
        let key = payment.order().uuid();
        let terms = Terms { customer: UserId::new(), amount, token: String::new() };
        let id = RefundId::new();
        let asked = step(&mut payment, vec![Event::Pending { terms }, Event::RefundPending { id, amount }]);
        assert_eq!(asked.opened.iter().map(|(call, _)| *call).collect::<Vec<_>>(), [CallId::Charge]);
        let known =
            step(&mut payment, vec![Event::Processed { customer: None, amount, reference: "r".to_owned() }]);
        assert_eq!(known.closed, [key]);
        assert_eq!(known.opened, [(CallId::Refund(id), Timestamp::UNIX_EPOCH)]);
    }
}
