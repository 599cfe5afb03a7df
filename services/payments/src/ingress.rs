//! Which events of orders mean what to a payment. The whole subscription on one screen.

use std::{sync::Arc, time::Duration};

use viscount_actors::Router;
use viscount_chassis::{
    consumer::{HandleError, Handler},
    telemetry::current_traceparent,
};
use viscount_contracts::{
    DecodeError, Envelope, Event as _, Money, OrderId,
    events::orders::v1::{OrderCancelled, OrderRefundRequested, OrderValidated},
};

use crate::{
    actors::{PaymentActor, Request, Trouble, Work},
    domain::{Intent, Terms},
};

/// How long one event may take before it is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an event means; `None` when it means nothing to payments.
pub fn route(event: &Envelope) -> Result<Option<Intent>, DecodeError> {
    Ok(Some(match event.kind.as_ref() {
        OrderValidated::KIND => {
            let validated: OrderValidated = event.decode()?;
            let unreadable = |problem: String| event.unreadable::<OrderValidated>(problem);
            Intent::Charge(Terms {
                customer: validated
                    .customer_id
                    .parse()
                    .map_err(|e: uuid::Error| unreadable(e.to_string()))?,
                amount: Money::try_from(validated.total.as_ref()).map_err(|e| unreadable(e.to_string()))?,
                token: validated.payment_token,
            })
        }
        OrderCancelled::KIND => Intent::Cancel { reason: event.decode::<OrderCancelled>()?.reason },
        OrderRefundRequested::KIND => {
            let wanted: OrderRefundRequested = event.decode()?;
            let unreadable = |problem: String| event.unreadable::<OrderRefundRequested>(problem);
            Intent::Refund {
                id: wanted.refund_id.parse().map_err(|e: uuid::Error| unreadable(e.to_string()))?,
                amount: Money::try_from(wanted.amount.as_ref()).map_err(|e| unreadable(e.to_string()))?,
            }
        }
        _ => return Ok(None),
    }))
}

/// True when nothing can be known here yet of the order that an event is about, so that nothing needs to be read.
///
/// An order is created by its first event. When its second one asks for the money, no cancellation and no refund can
/// have come before it. (Should another incarnation have handled this very event: the provider's key and the version of
/// the stream make the repetition harmless.)
pub fn is_fresh(event: &Envelope, intent: &Intent) -> bool {
    event.version <= 2 && matches!(intent, Intent::Charge(_))
}

/// Hands events to the payments they concern.
#[derive(Clone)]
pub struct ToPayments {
    /// Where the payments are.
    pub router: Router<PaymentActor>,
}

impl Handler for ToPayments {
    fn wants(&self, event: &Envelope) -> bool {
        [OrderValidated::KIND, OrderCancelled::KIND, OrderRefundRequested::KIND]
            .contains(&event.kind.as_ref())
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let router = self.router.clone();
        async move {
            let Some(intent) = route(&event).map_err(|error| HandleError::Poison(error.to_string()))? else {
                return Ok(());
            };
            let order = OrderId::from(event.key);
            let fresh = is_fresh(&event, &intent);
            let request = |reply| Request {
                work: Work::Order { intent, event: event.id },
                traceparent: current_traceparent(),
                reply,
            };
            let asked = if fresh {
                router.ask_new(order, PATIENCE, request).await
            } else {
                router.ask(order, PATIENCE, request).await
            };
            match asked {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(Trouble::Away(reason))) => Err(HandleError::Away(reason)),
                Ok(Err(trouble @ Trouble::Refused(_))) => Err(HandleError::Poison(trouble.to_string())),
                Err(error) => Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use viscount_chassis::store::NewEvent;
    use viscount_contracts::{Currency, EventId, RefundId, Topic, UserId, events::common::v1 as common};

    use super::*;

    fn envelope<E: viscount_contracts::Event>(event: &E, version: i32) -> Envelope {
        let stored = NewEvent::new(uuid::Uuid::now_v7(), version, event, Timestamp::UNIX_EPOCH);
        Envelope {
            id: EventId::new(),
            topic: Topic::Orders,
            position: 1,
            key: stored.stream,
            version,
            kind: stored.kind.into(),
            occurred_at: stored.occurred_at,
            traceparent: None,
            data: stored.data.into(),
        }
    }

    fn gbp(amount: i64) -> Option<common::Money> {
        Some(Money::new(amount, Currency::GBP).into())
    }

    #[test]
    fn a_validated_order_is_to_be_charged() {
        let customer = UserId::new();
        let validated = OrderValidated {
            customer_id: customer.to_string(),
            total: gbp(4_200),
            payment_token: "tok_visa".into(),
            ..OrderValidated::default()
        };
        let event = envelope(&validated, 2);
        let intent = route(&event).unwrap().unwrap();
        let amount = Money::new(4_200, Currency::GBP);
        assert_eq!(intent, Intent::Charge(Terms { customer, amount, token: "tok_visa".into() }));
        assert!(is_fresh(&event, &intent));
        assert!(
            !is_fresh(&envelope(&validated, 3), &intent),
            "something came between: it may be a cancellation"
        );
    }

    #[test]
    fn a_refund_keeps_its_own_id() {
        let id = RefundId::new();
        let wanted = OrderRefundRequested {
            refund_id: id.to_string(),
            amount: gbp(5),
            ..OrderRefundRequested::default()
        };
        let expected = Intent::Refund { id, amount: Money::new(5, Currency::GBP) };
        assert_eq!(route(&envelope(&wanted, 4)).unwrap(), Some(expected));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_what_is_not_ours_is_nothing() {
        assert!(route(&envelope(&OrderValidated::default(), 2)).is_err());
        let other = viscount_contracts::events::orders::v1::OrderCompleted::default();
        assert_eq!(route(&envelope(&other, 4)).unwrap(), None);
    }
}
