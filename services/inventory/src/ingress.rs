//! Which events of others mean what to the stock. The whole subscription on one screen.

use std::{future::Future, sync::Arc};

use viscount_chassis::{
    consumer::{HandleError, Handler},
    telemetry::current_traceparent,
};
use viscount_contracts::{
    DecodeError, Envelope, Event as _, ProductId, Quantity, ReservationId,
    events::orders::v1::{OrderCancelled, OrderCompleted, OrderCreated, OrderRejected},
};

use crate::{
    actors::{Booking, Cause, Desk, DeskError, Ended},
    domain::{End, Lines, Reason},
    metrics,
};

/// What an order's event wants of its reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Hold all lines, or reject.
    Reserve(Lines),
    /// End it.
    End(End),
}

/// What an event means; `None` when it means nothing to the stock.
pub fn route(event: &Envelope) -> Result<Option<Wanted>, DecodeError> {
    Ok(Some(match event.kind.as_ref() {
        OrderCreated::KIND => Wanted::Reserve(lines(event)?),
        OrderCancelled::KIND => Wanted::End(End::Release(Reason::Cancelled)),
        OrderRejected::KIND => Wanted::End(End::Release(Reason::Rejected)),
        OrderCompleted::KIND => Wanted::End(End::Sell),
        _ => return Ok(None),
    }))
}

fn lines(event: &Envelope) -> Result<Lines, DecodeError> {
    let unreadable = |problem: &dyn ToString| event.unreadable::<OrderCreated>(problem.to_string());
    let created: OrderCreated = event.decode()?;
    let mut wanted = Vec::with_capacity(created.lines.len());
    for line in &created.lines {
        let product: ProductId =
            line.product_id.parse().map_err(|problem: uuid::Error| unreadable(&problem))?;
        wanted.push((product, Quantity::try_from(line.quantity).map_err(|problem| unreadable(&problem))?));
    }
    Lines::new(wanted).map_err(|problem| unreadable(&problem))
}

/// Hands orders' events to the desk.
pub struct FromOrders {
    /// Where reservations are made and ended.
    pub desk: Desk,
}

impl Handler for FromOrders {
    fn wants(&self, event: &Envelope) -> bool {
        [OrderCreated::KIND, OrderCancelled::KIND, OrderRejected::KIND, OrderCompleted::KIND]
            .contains(&event.kind.as_ref())
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let desk = self.desk.clone();
        async move {
            let poison = |error: DecodeError| HandleError::Poison(error.to_string());
            let Some(wanted) = route(&event).map_err(poison)? else { return Ok(()) };
            // The reservation of an order has the order's id, which is the event's key.
            let id = ReservationId::from(event.key);
            let cause = Cause { event: Some(event.id), traceparent: current_traceparent() };
            match wanted {
                Wanted::Reserve(lines) => {
                    let booking = Booking { id, of_order: true, lines, expires_at: None };
                    // Not enough stock is an answer, not a failure: it has been told by an event.
                    desk.reserve(booking, cause).await.map(drop).or_else(unless_handled)
                }
                Wanted::End(how) => match desk.end(id, how, true, cause).await {
                    Err(error) => unless_handled(error),
                    Ok(Ended::Done(_) | Ended::OfOrder) => Ok(()),
                    Ok(Ended::TooLate(state)) if how == End::Sell => {
                        metrics::sold_without_hold();
                        Err(HandleError::Poison(format!(
                            "completed, but its reservation is {}",
                            state.name()
                        )))
                    }
                    Ok(Ended::TooLate(state)) => {
                        tracing::warn!(reservation = %id, state = state.name(), "called off after the sale");
                        Ok(())
                    }
                },
            }
        }
    }
}

/// Handled before is handled; whatever else keeps the desk from deciding will pass.
fn unless_handled(error: DeskError) -> Result<(), HandleError> {
    match error {
        DeskError::Handled => Ok(()),
        DeskError::Quarantined { .. } => Err(HandleError::SetAside(error.to_string())),
        other => Err(HandleError::Away(other.to_string())),
    }
}
