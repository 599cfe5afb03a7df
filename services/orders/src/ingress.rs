//! Which events of others mean what to an order. The whole subscription on one screen.

use std::{sync::Arc, time::Duration};

use viscount_actors::Router;
use viscount_chassis::{
    consumer::{HandleError, Handler},
    store::CommitError,
    telemetry::current_traceparent,
};
use viscount_contracts::{
    DecodeError, Envelope, Event as _, Money, OrderId, ProductId,
    events::{inventory::v1 as inventory, payments::v1 as payments},
};

use crate::{
    actors::{OrderActor, Refusal, Request},
    domain::{Command, ShortLine},
};

/// How long one event may take before it is tried again.
const PATIENCE: Duration = Duration::from_secs(15);

/// What an event means, and to which order; `None` when it means nothing to orders.
pub fn route(event: &Envelope) -> Result<Option<(OrderId, Command)>, DecodeError> {
    use inventory::{InventoryRejected, InventoryReserved};
    use payments::{PaymentFailed, PaymentProcessed, PaymentRefundFailed, PaymentRefunded};

    let order = OrderId::from(event.key);
    Ok(Some((
        order,
        match event.kind.as_ref() {
            InventoryReserved::KIND => {
                // Reservations made over HTTP belong to no order.
                if event.decode::<InventoryReserved>()?.order_id.is_empty() {
                    return Ok(None);
                }
                Command::ConfirmStock
            }
            InventoryRejected::KIND => {
                let rejected: InventoryRejected = event.decode()?;
                if rejected.order_id.is_empty() {
                    return Ok(None);
                }
                Command::RejectStock { short: rejected.short_lines.iter().filter_map(short_line).collect() }
            }
            PaymentProcessed::KIND => {
                let paid: PaymentProcessed = event.decode()?;
                Command::RecordPayment {
                    payment: id::<PaymentProcessed, _>(event, &paid.payment_id)?,
                    amount: Money::try_from(paid.amount.as_ref())
                        .map_err(|problem| event.unreadable::<PaymentProcessed>(problem))?,
                }
            }
            PaymentFailed::KIND => {
                let failed: PaymentFailed = event.decode()?;
                Command::DeclinePayment { code: failed.code, detail: failed.detail }
            }
            PaymentRefunded::KIND => {
                let refunded: PaymentRefunded = event.decode()?;
                Command::RecordRefund {
                    refund: id::<PaymentRefunded, _>(event, &refunded.refund_id)?,
                    amount: Money::try_from(refunded.amount.as_ref())
                        .map_err(|problem| event.unreadable::<PaymentRefunded>(problem))?,
                }
            }
            PaymentRefundFailed::KIND => {
                let failed: PaymentRefundFailed = event.decode()?;
                let refund = id::<PaymentRefundFailed, _>(event, &failed.refund_id)?;
                Command::FailRefund { refund, detail: failed.detail }
            }
            _ => return Ok(None),
        },
    )))
}

fn id<E: viscount_contracts::Event, I: std::str::FromStr<Err = uuid::Error>>(
    event: &Envelope,
    text: &str,
) -> Result<I, DecodeError> {
    text.parse().map_err(|problem: uuid::Error| event.unreadable::<E>(problem))
}

fn short_line(line: &inventory::ShortLine) -> Option<ShortLine> {
    let product_id: ProductId = line.product_id.parse().ok()?;
    Some(ShortLine { product_id, wanted: line.wanted, available: line.available })
}

/// Hands events to the orders they concern.
#[derive(Clone)]
pub struct ToOrders {
    /// Where the orders are.
    pub router: Router<OrderActor>,
}

impl Handler for ToOrders {
    fn wants(&self, event: &Envelope) -> bool {
        use inventory::{InventoryRejected, InventoryReserved};
        use payments::{PaymentFailed, PaymentProcessed, PaymentRefundFailed, PaymentRefunded};
        [
            InventoryReserved::KIND,
            InventoryRejected::KIND,
            PaymentProcessed::KIND,
            PaymentFailed::KIND,
            PaymentRefunded::KIND,
            PaymentRefundFailed::KIND,
        ]
        .contains(&event.kind.as_ref())
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let router = self.router.clone();
        async move {
            let Some((order, command)) =
                route(&event).map_err(|error| HandleError::Poison(error.to_string()))?
            else {
                return Ok(());
            };
            let asked = router.ask(order, PATIENCE, |reply| Request {
                command,
                cause: Some(event.id),
                claim: None,
                traceparent: current_traceparent(),
                reply,
            });
            match asked.await {
                Ok(Ok(_)) => Ok(()),
                // Mostly an order that this database has never seen: nobody can act on it. Or a commit that the
                // database refuses will be refused again.
                Ok(Err(refusal @ (Refusal::Rejected(_) | Refusal::Commit(CommitError::Refused { .. })))) => {
                    Err(HandleError::Poison(refusal.to_string()))
                }
                Ok(Err(refusal)) => Err(HandleError::Away(refusal.to_string())),
                Err(error) => Err(error.into()),
            }
        }
    }
}
