//! What the payments' events alone say of each payment. I5: their tables say the same. I3: no question is forgotten.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;
use viscount_chassis::store::EventStore;
use viscount_contracts::{DecodeError, Envelope, Event, Topic, events::payments::v1 as proto};

use super::{
    Terms,
    facts::amount,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

const PAGE: i64 = 5_000;

/// One payment, rebuilt from its events.
#[derive(Debug, Clone)]
pub struct Payment {
    /// Its status.
    pub status: &'static str,
    /// The version of its newest event.
    pub version: i32,
    /// What was taken, once for each event that says so.
    pub captures: Vec<i64>,
    /// Each refund: its state and its amount.
    pub refunds: HashMap<Uuid, (&'static str, i64)>,
    /// Where in the log its newest event is that orders act upon; 0 when there is none.
    pub told_orders: i64,
}

impl Default for Payment {
    fn default() -> Self {
        Self { status: "expected", version: 0, captures: Vec::new(), refunds: HashMap::new(), told_orders: 0 }
    }
}

impl Payment {
    /// What was taken.
    pub fn captured(&self) -> i64 {
        self.captures.iter().sum()
    }

    /// What was returned.
    pub fn refunded(&self) -> i64 {
        self.refunds.values().filter(|(state, _)| *state == "done").map(|(_, amount)| amount).sum()
    }

    fn apply(&mut self, event: &Envelope) -> Result<(), DecodeError> {
        self.version = self.version.max(event.version);
        match event.kind.as_ref() {
            proto::PaymentPending::KIND => self.status = "pending",
            proto::PaymentVoided::KIND => self.status = "voided",
            proto::PaymentFailed::KIND => {
                self.status = "failed";
                self.told_orders = event.position;
            }
            proto::PaymentProcessed::KIND => {
                self.status = "captured";
                self.captures.push(amount(event.decode::<proto::PaymentProcessed>()?.amount));
                self.told_orders = event.position;
            }
            proto::PaymentRefundPending::KIND => {
                let refund: proto::PaymentRefundPending = event.decode()?;
                self.refund::<proto::PaymentRefundPending>(
                    event,
                    &refund.refund_id,
                    "open",
                    amount(refund.amount),
                )?;
            }
            proto::PaymentRefunded::KIND => {
                let refund: proto::PaymentRefunded = event.decode()?;
                self.refund::<proto::PaymentRefunded>(
                    event,
                    &refund.refund_id,
                    "done",
                    amount(refund.amount),
                )?;
                self.told_orders = event.position;
            }
            proto::PaymentRefundFailed::KIND => {
                let refund: proto::PaymentRefundFailed = event.decode()?;
                self.refund::<proto::PaymentRefundFailed>(
                    event,
                    &refund.refund_id,
                    "failed",
                    amount(refund.amount),
                )?;
                self.told_orders = event.position;
            }
            _ => {}
        }
        Ok(())
    }

    fn refund<E: Event>(
        &mut self,
        event: &Envelope,
        id: &str,
        state: &'static str,
        amount: i64,
    ) -> Result<(), DecodeError> {
        let id = id.parse().map_err(|problem: uuid::Error| event.unreadable::<E>(problem))?;
        self.refunds.insert(id, (state, amount));
        Ok(())
    }
}

/// Every payment, from its events.
pub async fn read(world: &World) -> Result<HashMap<Uuid, Payment>, Failure> {
    let store = EventStore::new(Topic::Payments, world.payments.clone());
    let mut payments: HashMap<Uuid, Payment> = HashMap::new();
    let mut position = 0;
    loop {
        let page = store.log(position, PAGE).await?;
        for event in &page {
            position = event.position;
            let payment = payments.entry(event.key).or_default();
            payment.apply(event).map_err(|error| Failure::doing("an event of a payment", error))?;
        }
        if page.len() < PAGE as usize {
            return Ok(payments);
        }
    }
}

/// Compares the tables with the events.
pub async fn check_projection(
    world: &World,
    payments: &HashMap<Uuid, Payment>,
    report: &mut Report,
) -> Result<(), Failure> {
    let rows = sqlx::query("select order_id, status, version, captured, refunded from payments")
        .fetch_all(&world.payments)
        .await?;
    report.checked(Promise::I5, format!("{} rows of payments", rows.len()));
    let mut rest = payments.clone();
    for row in rows {
        let (id, status, version): (Uuid, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (captured, refunded): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        let of = format!("payment {id}");
        let Some(payment) = rest.remove(&id) else {
            report.violation(Promise::I5, of, "it has a row and no events");
            continue;
        };
        // Taken twice is another matter: a row has room for the last one alone.
        let taken = payment.captures.last().copied().unwrap_or(0);
        if (status.as_str(), version, captured, refunded)
            != (payment.status, payment.version, taken, payment.refunded())
        {
            report.violation(
                Promise::I5,
                of,
                format!(
                    "the table says {status} v{version} {captured} taken {refunded} returned, its events say {} v{} \
                     {taken} taken {} returned",
                    payment.status,
                    payment.version,
                    payment.refunded()
                ),
            );
        }
    }
    for id in rest.keys() {
        report.violation(Promise::I5, format!("payment {id}"), "it has events and no row");
    }

    let mut told: HashMap<Uuid, (&str, i64)> = HashMap::new();
    for payment in payments.values() {
        told.extend(&payment.refunds);
    }
    let rows = sqlx::query("select refund_id, state, amount from refunds").fetch_all(&world.payments).await?;
    for row in rows {
        let (id, state, amount): (Uuid, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let told = told.remove(&id).unwrap_or(("nothing", 0));
        if told != (state.as_str(), amount) {
            report.violation(
                Promise::I5,
                format!("refund {id}"),
                format!("the table says {state} over {amount}, its events say {} over {}", told.0, told.1),
            );
        }
    }
    for id in told.keys() {
        report.violation(Promise::I5, format!("refund {id}"), "it has events and no row");
    }
    Ok(())
}

/// What the provider has not answered is asked again, and answered in time.
pub async fn check_questions(world: &World, terms: &Terms, report: &mut Report) -> Result<(), Failure> {
    let forgotten: Vec<(Uuid, String)> = sqlx::query_as(
        "select order_id, 'its payment is pending, and nobody asks the provider again' from payments p
         where status = 'pending' and not exists (select from open_calls c where c.call_key = p.order_id)
         union all
         select p.order_id, 'refund ' || refund_id || ' is open, and nobody asks the provider again'
         from refunds r join payments p using (order_id)
         where r.state = 'open' and p.status = 'captured'
            and not exists (select from open_calls c where c.call_key = r.refund_id)
         limit 1000",
    )
    .fetch_all(&world.payments)
    .await?;
    let late: Vec<(Uuid, String)> = sqlx::query_as(
        "select order_id, 'the provider has not answered its ' || kind || ' for ' || attempts || ' attempts'
         from open_calls where opened_at < now() - $1 * interval '1 s' limit 1000",
    )
    .bind(terms.within as f64)
    .fetch_all(&world.payments)
    .await?;
    for (order, what) in forgotten.into_iter().chain(late) {
        report.violation(Promise::I3, format!("order {order}"), what);
    }
    Ok(())
}
