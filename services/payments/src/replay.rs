//! The projection of this service's events, made anew: see [`viscount_chassis::replay`].

use viscount_chassis::replay::{Projection as Made, Replay, Table};
use viscount_contracts::{Envelope, OrderId, Topic};

use crate::store::{PaymentsWriter, Projection, codec};

const TABLES: [Table; 3] = [
    Table::new("payments", &["order_id"]),
    Table::new("refunds", &["refund_id"]),
    Table::new("ledger", &["transaction_id", "account"]).only_compared(),
];

/// `payments`: payments and refunds as reads see them. The ledger is append only, and therefore only compared.
pub fn projections() -> Vec<Box<dyn Replay>> {
    vec![Box::new(Made {
        name: "payments",
        topic: Topic::Payments,
        tables: &TABLES,
        others: &["open_calls", "webhook_events"],
        writer: PaymentsWriter,
        steps,
    })]
}

/// One step for each event.
fn steps(before: &[Envelope], fresh: &[Envelope]) -> Result<Vec<Projection>, String> {
    let Some(first) = fresh.first() else { return Ok(Vec::new()) };
    let mut payment = codec::restore(OrderId::from(first.key), before).map_err(|error| error.to_string())?;
    let mut steps = Vec::with_capacity(fresh.len());
    for envelope in fresh {
        let Some(event) = codec::decode(envelope).map_err(|error| error.to_string())? else { continue };
        let (was, at) = (payment.clone(), envelope.occurred_at);
        let mut stored = codec::encode(&was, envelope.version, &event, at);
        stored.id = envelope.id;
        payment.evolve(&event, at);
        steps.push(Projection::of(&was, &payment, &[(event, stored)], at));
    }
    Ok(steps)
}
