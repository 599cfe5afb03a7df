//! The core's events as protobuf, and back.

use jiff::Timestamp;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{
    DecodeError, Envelope, Event as Contract, Money, OrderId, RefundId, UserId,
    events::{common::v1 as common, payments::v1 as proto},
};

use crate::domain::{Event, Payment, Terms};

/// The event as it is stored and published, as the next one of this payment.
pub fn encode(payment: &Payment, version: i32, event: &Event, at: Timestamp) -> NewEvent {
    let payment_id = payment.id().to_string();
    let order_id = payment.order().to_string();
    let stream = payment.order();
    let money = |amount: &Money| Some(common::Money::from(*amount));
    let who = |customer: &Option<UserId>| customer.map(|id| id.to_string()).unwrap_or_default();
    match event {
        Event::Pending { terms } => {
            let event = proto::PaymentPending {
                payment_id,
                order_id,
                customer_id: terms.customer.to_string(),
                amount: money(&terms.amount),
                payment_token: terms.token.clone(),
            };
            NewEvent::new(stream, version, &event, at)
        }
        Event::CancelNoted { reason } => {
            let event = proto::PaymentCancelNoted { payment_id, order_id, reason: reason.clone() };
            NewEvent::new(stream, version, &event, at)
        }
        Event::Voided { reason } => {
            let event = proto::PaymentVoided { payment_id, order_id, reason: reason.clone() };
            NewEvent::new(stream, version, &event, at)
        }
        Event::Processed { customer, amount, reference } => {
            let event = proto::PaymentProcessed {
                payment_id,
                order_id,
                amount: money(amount),
                provider_reference: reference.clone(),
                customer_id: who(customer),
            };
            NewEvent::new(stream, version, &event, at)
        }
        Event::Failed { customer, amount, code, detail } => {
            let event = proto::PaymentFailed {
                payment_id,
                order_id,
                amount: money(amount),
                code: code.clone(),
                detail: detail.clone(),
                customer_id: who(customer),
            };
            NewEvent::new(stream, version, &event, at)
        }
        Event::RefundPending { id, amount } => {
            let refund_id = id.to_string();
            let event =
                proto::PaymentRefundPending { payment_id, order_id, refund_id, amount: money(amount) };
            NewEvent::new(stream, version, &event, at)
        }
        Event::Refunded { id, amount, reference } => {
            let event = proto::PaymentRefunded {
                payment_id,
                order_id,
                refund_id: id.to_string(),
                amount: money(amount),
                provider_reference: reference.clone(),
            };
            NewEvent::new(stream, version, &event, at)
        }
        Event::RefundFailed { id, amount, code, detail } => {
            let event = proto::PaymentRefundFailed {
                payment_id,
                order_id,
                refund_id: id.to_string(),
                amount: money(amount),
                code: code.clone(),
                detail: detail.clone(),
            };
            NewEvent::new(stream, version, &event, at)
        }
    }
}

/// A payment as its stored events have made it.
pub fn restore(order: OrderId, events: &[Envelope]) -> Result<Payment, DecodeError> {
    let mut payment = Payment::of(order);
    for envelope in events {
        if let Some(event) = decode(envelope)? {
            payment.evolve(&event, envelope.occurred_at);
        }
    }
    Ok(payment)
}

/// The core's event in an envelope of the payments topic; `None` when it is of a kind that this program does not know.
pub fn decode(envelope: &Envelope) -> Result<Option<Event>, DecodeError> {
    let event = if envelope.is::<proto::PaymentProcessed>() {
        let event: proto::PaymentProcessed = envelope.decode()?;
        Event::Processed {
            customer: customer::<proto::PaymentProcessed>(envelope, &event.customer_id)?,
            amount: money::<proto::PaymentProcessed>(envelope, event.amount.as_ref())?,
            reference: event.provider_reference,
        }
    } else if envelope.is::<proto::PaymentFailed>() {
        let event: proto::PaymentFailed = envelope.decode()?;
        Event::Failed {
            customer: customer::<proto::PaymentFailed>(envelope, &event.customer_id)?,
            amount: money::<proto::PaymentFailed>(envelope, event.amount.as_ref())?,
            code: event.code,
            detail: event.detail,
        }
    } else if envelope.is::<proto::PaymentRefunded>() {
        let event: proto::PaymentRefunded = envelope.decode()?;
        Event::Refunded {
            id: refund::<proto::PaymentRefunded>(envelope, &event.refund_id)?,
            amount: money::<proto::PaymentRefunded>(envelope, event.amount.as_ref())?,
            reference: event.provider_reference,
        }
    } else if envelope.is::<proto::PaymentRefundFailed>() {
        let event: proto::PaymentRefundFailed = envelope.decode()?;
        Event::RefundFailed {
            id: refund::<proto::PaymentRefundFailed>(envelope, &event.refund_id)?,
            amount: money::<proto::PaymentRefundFailed>(envelope, event.amount.as_ref())?,
            code: event.code,
            detail: event.detail,
        }
    } else if envelope.is::<proto::PaymentRefundPending>() {
        let event: proto::PaymentRefundPending = envelope.decode()?;
        Event::RefundPending {
            id: refund::<proto::PaymentRefundPending>(envelope, &event.refund_id)?,
            amount: money::<proto::PaymentRefundPending>(envelope, event.amount.as_ref())?,
        }
    } else if envelope.is::<proto::PaymentPending>() {
        let event: proto::PaymentPending = envelope.decode()?;
        let customer = event.customer_id.parse();
        Event::Pending {
            terms: Terms {
                customer: customer.map_err(|error| envelope.unreadable::<proto::PaymentPending>(error))?,
                amount: money::<proto::PaymentPending>(envelope, event.amount.as_ref())?,
                token: event.payment_token,
            },
        }
    } else if envelope.is::<proto::PaymentCancelNoted>() {
        let event: proto::PaymentCancelNoted = envelope.decode()?;
        Event::CancelNoted { reason: event.reason }
    } else if envelope.is::<proto::PaymentVoided>() {
        let event: proto::PaymentVoided = envelope.decode()?;
        Event::Voided { reason: event.reason }
    } else {
        return Ok(None);
    };
    Ok(Some(event))
}

fn money<E: Contract>(envelope: &Envelope, amount: Option<&common::Money>) -> Result<Money, DecodeError> {
    Money::try_from(amount).map_err(|error| envelope.unreadable::<E>(error))
}

fn refund<E: Contract>(envelope: &Envelope, id: &str) -> Result<RefundId, DecodeError> {
    id.parse().map_err(|error| envelope.unreadable::<E>(error))
}

/// Absent for an order that was cancelled before anybody said whose it is.
fn customer<E: Contract>(envelope: &Envelope, id: &str) -> Result<Option<UserId>, DecodeError> {
    if id.is_empty() {
        return Ok(None);
    }
    id.parse().map(Some).map_err(|error| envelope.unreadable::<E>(error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use viscount_contracts::{Currency, EventId, Topic};

    use super::*;

    #[test]
    fn every_event_comes_back_as_it_was_stored() {
        let amount = Money::new(4_200, Currency::GBP);
        let (customer, id) = (UserId::new(), RefundId::new());
        let text = |text: &str| text.to_owned();
        let terms = Terms { customer, amount, token: text("tok_visa") };
        let events = [
            Event::RefundPending { id, amount },
            Event::Pending { terms },
            Event::CancelNoted { reason: text("late") },
            Event::Voided { reason: text("never made") },
            Event::Failed { customer: None, amount, code: text("card_declined"), detail: text("no") },
            Event::Processed { customer: Some(customer), amount, reference: text("ch_1") },
            Event::Refunded { id, amount, reference: text("re_1") },
            Event::RefundFailed { id, amount, code: text("gone"), detail: text("no") },
        ];
        let payment = Payment::of(OrderId::new());
        for event in events {
            let stored = encode(&payment, 1, &event, Timestamp::UNIX_EPOCH);
            let envelope = Envelope {
                id: EventId::new(),
                topic: Topic::Payments,
                position: 1,
                key: stored.stream,
                version: 1,
                kind: stored.kind.into(),
                occurred_at: Timestamp::UNIX_EPOCH,
                traceparent: None,
                data: stored.data.into(),
            };
            assert_eq!(decode(&envelope).unwrap(), Some(event));
        }
    }
}
