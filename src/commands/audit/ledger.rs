//! I3: each book of money is sound in itself.

use uuid::Uuid;

use super::{
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// Checks payments' double entry, and the provider's refunds against its charges.
pub async fn check(world: &World, report: &mut Report) -> Result<(), Failure> {
    let torn: Vec<(Uuid, i64)> = sqlx::query_as(
        "select transaction_id, sum(amount)::bigint from ledger group by transaction_id, currency
         having sum(amount) <> 0 order by 1 limit 1000",
    )
    .fetch_all(&world.payments)
    .await?;
    for (transaction, sum) in torn {
        report.violation(
            Promise::I3,
            format!("ledger transaction {transaction}"),
            format!("sums to {sum}, not to zero"),
        );
    }
    let unexplained: Vec<Uuid> = sqlx::query_scalar(
        "select distinct transaction_id from ledger l
         where not exists (select from events e where e.event_id = l.transaction_id
             and e.stream = l.order_id and e.kind in ('PaymentProcessed', 'PaymentRefunded'))
         limit 1000",
    )
    .fetch_all(&world.payments)
    .await?;
    for transaction in unexplained {
        report.violation(
            Promise::I3,
            format!("ledger transaction {transaction}"),
            "no event tells of money that was taken or returned",
        );
    }
    let differing: Vec<(String, i64, i64)> = sqlx::query_as(
        "select c.idempotency_key, c.amount_refunded, coalesce(sum(r.amount), 0)::bigint
         from charges c left join refunds r on r.charge = c.sequence
         group by c.sequence having c.amount_refunded <> coalesce(sum(r.amount), 0) order by 1 limit 1000",
    )
    .fetch_all(&world.simulator)
    .await?;
    for (key, returned, sum) in differing {
        report.violation(
            Promise::I3,
            format!("charge {key}"),
            format!("the provider says {returned} returned, its refunds come to {sum}"),
        );
    }
    Ok(())
}
