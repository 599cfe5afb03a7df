//! What a command means for an order. Pure: nothing goes in but the order and the command, nothing out but events.
//!
//! Commands that come from events of other services are total: whatever order they come in and however often, the
//! answer is what is still to be done, which may be nothing. Only what people ask for can be refused.

use viscount_contracts::{Money, RefundId};

use super::{CancelledBy, Command, Event, Order, Payment, RefundState, Rejection, Status};

/// Who fulfils a paid order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fulfilment {
    /// A paid order is complete in the same commit: for shops without a delivery service.
    #[default]
    Immediate,
    /// Somebody says [`Command::Complete`].
    External,
}

/// What the house has decided for all orders.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy {
    /// Who fulfils a paid order.
    pub fulfilment: Fulfilment,
}

/// The events that a command brings about; none when it has had its effect before, or no longer matters.
pub fn decide(order: Option<&Order>, command: Command, policy: Policy) -> Result<Vec<Event>, Rejection> {
    match (order, command) {
        (None, Command::Create(draft)) => Ok(vec![Event::Created(draft)]),
        (None, _) => Err(Rejection::Unknown),
        (Some(order), command) => decide_on(order, command, policy),
    }
}

fn decide_on(order: &Order, command: Command, policy: Policy) -> Result<Vec<Event>, Rejection> {
    use Status::{Cancelled, Completed, Created, Paid, PartiallyRefunded, Refunded, Rejected, Validated};
    match (command, order.status) {
        (Command::Create(_), _) => Err(Rejection::Exists),

        (Command::ConfirmStock, Created) => {
            let mut events = vec![Event::Validated];
            if let Some(payment) = order.payment {
                events.extend(paid(payment, policy));
            }
            Ok(events)
        }
        (Command::ConfirmStock, _) => Ok(vec![]),

        (Command::RejectStock { short }, Created) => {
            let rejected = Event::Rejected {
                code: "insufficient_stock",
                detail: "not all lines are in stock".to_owned(),
                short,
            };
            Ok(with_money_back(
                vec![rejected],
                order.refundable(),
                "the order was rejected",
                money_back_id(order),
            ))
        }
        (Command::RejectStock { .. }, _) => Ok(vec![]),

        (Command::RecordPayment { .. }, _) if order.payment.is_some() => Ok(vec![]),
        (Command::RecordPayment { payment, amount }, status) => {
            let payment = Event::payment(payment, amount);
            Ok(match status {
                Validated => paid(payment, policy),
                Created => vec![Event::PaymentNoted(payment)],
                // Paid although the order has ended meanwhile: the money goes back.
                Cancelled | Rejected => {
                    let noted = vec![Event::PaymentNoted(payment)];
                    with_money_back(
                        noted,
                        amount,
                        "the order had ended before it was paid",
                        money_back_id(order),
                    )
                }
                Paid | Completed | PartiallyRefunded | Refunded => vec![],
            })
        }

        (Command::DeclinePayment { code, detail }, Created | Validated) if order.payment.is_none() => {
            Ok(vec![Event::Rejected {
                code: "payment_declined",
                detail: if detail.is_empty() { code } else { detail },
                short: vec![],
            }])
        }
        (Command::DeclinePayment { .. }, _) => Ok(vec![]),

        (Command::Complete, Paid) => Ok(vec![Event::Completed]),
        (Command::Complete, Completed | PartiallyRefunded | Refunded) => Ok(vec![]),
        (Command::Complete, status) => Err(Rejection::WrongStatus { status, wish: "completed" }),

        (Command::Cancel { .. }, Cancelled) => Ok(vec![]),
        (Command::Cancel { by, reason }, Created | Validated | Paid) => Ok(cancelled(order, by, reason)),
        (Command::Cancel { .. }, status) => Err(Rejection::WrongStatus { status, wish: "cancelled" }),

        (Command::Expire { status: expired }, status @ (Created | Validated)) if expired == status => {
            let reason = "what the order waited for did not come in time".to_owned();
            Ok(cancelled(order, CancelledBy::Deadline, reason))
        }
        (Command::Expire { .. }, _) => Ok(vec![]),

        (Command::RequestRefund { refund, .. }, _) if order.refund(refund).is_some() => Ok(vec![]),
        // Money that should have gone back by itself, and did not, can be asked for.
        (Command::RequestRefund { .. }, Cancelled | Rejected) if order.refundable().is_zero() => {
            Err(Rejection::WrongStatus { status: order.status, wish: "refunded" })
        }
        (
            Command::RequestRefund { refund, amount, reason },
            Completed | PartiallyRefunded | Refunded | Cancelled | Rejected,
        ) => {
            let left = order.refundable();
            let amount = amount.unwrap_or(left);
            if left.is_zero() {
                return Err(Rejection::RefundTooLarge { left });
            }
            if amount.amount() <= 0 || amount.currency() != left.currency() {
                return Err(Rejection::RefundAmount);
            }
            if amount.amount() > left.amount() {
                return Err(Rejection::RefundTooLarge { left });
            }
            Ok(vec![Event::RefundRequested { refund, amount, reason }])
        }
        (Command::RequestRefund { .. }, status) => Err(Rejection::WrongStatus { status, wish: "refunded" }),

        (Command::RecordRefund { refund, amount }, _) => {
            Ok(match order.refund(refund).map(|refund| refund.state) {
                Some(RefundState::Requested) => vec![Event::Refunded { refund, amount }],
                // A failed refund may have been replaced by another one since: it stays failed.
                Some(RefundState::Done | RefundState::Failed) | None => vec![],
            })
        }
        (Command::FailRefund { refund, detail }, _) => {
            Ok(match order.refund(refund).map(|refund| refund.state) {
                Some(RefundState::Requested) => vec![Event::RefundFailed { refund, detail }],
                Some(RefundState::Done | RefundState::Failed) | None => vec![],
            })
        }
    }
}

fn paid(payment: Payment, policy: Policy) -> Vec<Event> {
    match policy.fulfilment {
        Fulfilment::Immediate => vec![Event::PaymentProcessed(payment), Event::Completed],
        Fulfilment::External => vec![Event::PaymentProcessed(payment)],
    }
}

fn cancelled(order: &Order, by: CancelledBy, reason: String) -> Vec<Event> {
    let cancelled = vec![Event::Cancelled { by, reason }];
    with_money_back(cancelled, order.refundable(), "the order was cancelled", money_back_id(order))
}

/// The one refund that an order asks for by itself carries the order's own id: decided twice, done once.
fn money_back_id(order: &Order) -> RefundId {
    RefundId::from(order.id.uuid())
}

fn with_money_back(mut events: Vec<Event>, amount: Money, reason: &str, refund: RefundId) -> Vec<Event> {
    if amount.amount() > 0 {
        events.push(Event::RefundRequested { refund, amount, reason: reason.to_owned() });
    }
    events
}
