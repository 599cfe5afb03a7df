//! The order after an event. Total: what happened cannot be refused.

use jiff::Timestamp;
use viscount_contracts::OrderId;

use super::{CancelledBy, Event, Order, Reason, Refund, RefundState, Status};

/// The order after `event`. The first event of an order is [`Event::Created`]; without it there is no order.
pub fn evolve(id: OrderId, order: Option<Order>, event: &Event, at: Timestamp) -> Option<Order> {
    match (order, event) {
        (None, Event::Created(draft)) => Some(Order {
            id,
            customer: draft.customer,
            status: Status::Created,
            version: 1,
            lines: draft.lines.clone(),
            total: draft.total,
            means: draft.means.clone(),
            payment: None,
            refunds: Vec::new(),
            reason: None,
            created_at: at,
            updated_at: at,
        }),
        (None, _) => None,
        (Some(mut order), event) => {
            order.version += 1;
            order.updated_at = at;
            apply(&mut order, event);
            Some(order)
        }
    }
}

/// The order after all of its events.
pub fn replay<'a>(id: OrderId, events: impl IntoIterator<Item = (&'a Event, Timestamp)>) -> Option<Order> {
    events.into_iter().fold(None, |order, (event, at)| evolve(id, order, event, at))
}

fn apply(order: &mut Order, event: &Event) {
    match event {
        Event::Created(_) => {}
        Event::Validated => order.status = Status::Validated,
        Event::Rejected { code, detail, short } => {
            order.status = Status::Rejected;
            order.reason =
                Some(Reason { code: (*code).to_owned(), detail: detail.clone(), lines: short.clone() });
        }
        Event::PaymentNoted(payment) => order.payment = Some(*payment),
        Event::PaymentProcessed(payment) => {
            order.payment = Some(*payment);
            order.status = Status::Paid;
        }
        Event::Completed => order.status = Status::Completed,
        Event::Cancelled { by, reason } => {
            order.status = Status::Cancelled;
            order.reason =
                Some(Reason { code: by.name().to_owned(), detail: reason.clone(), lines: Vec::new() });
        }
        Event::RefundRequested { refund, amount, .. } => {
            order.refunds.push(Refund { id: *refund, amount: *amount, state: RefundState::Requested });
        }
        Event::Refunded { refund, .. } => {
            set_refund(order, *refund, RefundState::Done);
            if matches!(order.status, Status::Completed | Status::PartiallyRefunded | Status::Refunded) {
                let all = order.payment.is_some_and(|payment| order.refunded() == payment.amount);
                order.status = if all { Status::Refunded } else { Status::PartiallyRefunded };
            }
        }
        Event::RefundFailed { refund, .. } => set_refund(order, *refund, RefundState::Failed),
    }
}

fn set_refund(order: &mut Order, id: viscount_contracts::RefundId, state: RefundState) {
    if let Some(refund) = order.refunds.iter_mut().find(|refund| refund.id == id) {
        refund.state = state;
    }
}

impl CancelledBy {
    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [CancelledBy::Customer, CancelledBy::Admin, CancelledBy::Deadline]
            .into_iter()
            .find(|by| by.name() == name)
    }
}
