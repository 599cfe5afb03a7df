//! I3: one capture for each paid order; captured − refunded as the order says; the provider's own books agree.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;

use super::{
    facts::Order,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

#[derive(Default)]
struct Books {
    status: String,
    captured: i64,
    refunded: i64,
    ledger: i64,
    open: bool,
    provider_took: i64,
    provider_gave: i64,
    provider_knows: bool,
}

/// Compares what orders, payments, its ledger and the provider say.
pub async fn check(world: &World, facts: &HashMap<Uuid, Order>, report: &mut Report) -> Result<(), Failure> {
    let books = read(world, report).await?;
    let asks_simulator = books.values().any(|books| books.provider_knows);
    let (mut paid, nothing) = (0, Books::default());
    for (id, order) in facts.iter().filter(|(_, order)| order.is_settled()) {
        let books = books.get(id).unwrap_or(&nothing);
        let mut wrong = |what: String| report.violation(Promise::I3, format!("order {id} ({}): {what}", order.status));
        if order.captures.len() > 1 {
            wrong(format!("{} captures", order.captures.len()));
        }
        match order.status {
            "completed" | "partially_refunded" | "refunded" => {
                paid += 1;
                if order.captured() != order.total {
                    wrong(format!("captured {} of {}", order.captured(), order.total));
                }
            }
            _ if order.captured() != order.refunded => {
                wrong(format!("captured {} and returned {}", order.captured(), order.refunded));
            }
            _ => {}
        }
        if (books.captured, books.refunded) != (order.captured(), order.refunded) {
            wrong(format!(
                "its events say {} taken and {} returned, payments say {} and {} ({})",
                order.captured(),
                order.refunded,
                books.captured,
                books.refunded,
                books.status
            ));
        }
        if books.ledger != books.captured - books.refunded {
            wrong(format!("the ledger holds {}, not {}", books.ledger, books.captured - books.refunded));
        }
        if asks_simulator && (books.provider_took, books.provider_gave) != (books.captured, books.refunded) && !books.open {
            wrong(format!(
                "the provider took {} and returned {}, payments say {} and {}",
                books.provider_took, books.provider_gave, books.captured, books.refunded
            ));
        }
    }
    for (id, _) in books.iter().filter(|(id, books)| books.provider_took > 0 && !facts.contains_key(id)) {
        report.violation(Promise::I3, format!("the provider took money for order {id}, which does not exist"));
    }
    report.checked(Promise::I3, format!("{paid} paid orders"));

    let torn: Vec<Uuid> = sqlx::query_scalar(
        "select transaction_id from ledger group by transaction_id, currency having sum(amount) <> 0 limit 100",
    )
    .fetch_all(&world.payments)
    .await?;
    for transaction in torn {
        report.violation(Promise::I3, format!("ledger transaction {transaction} does not sum to zero"));
    }
    Ok(())
}

async fn read(world: &World, report: &mut Report) -> Result<HashMap<Uuid, Books>, Failure> {
    let mut books: HashMap<Uuid, Books> = HashMap::new();
    // The provider first: what it has done, payments may still be writing down; the other way round it would look
    // like money from nowhere.
    let charges = sqlx::query("select idempotency_key, status, amount, amount_refunded from charges")
        .fetch_all(&world.simulator)
        .await?;
    report.checked(Promise::I3, format!("{} charges at the provider", charges.len()));
    for row in charges {
        let Ok(order) = row.try_get::<String, _>(0)?.parse::<Uuid>() else { continue };
        let entry = books.entry(order).or_default();
        entry.provider_knows = true;
        if row.try_get::<String, _>(1)? == "succeeded" {
            entry.provider_took += row.try_get::<i64, _>(2)?;
            entry.provider_gave += row.try_get::<i64, _>(3)?;
        }
    }
    let payments = sqlx::query(
        "select p.order_id, p.status, p.captured, p.refunded,
            exists (select 1 from open_calls c where c.order_id = p.order_id)
         from payments p",
    )
    .fetch_all(&world.payments)
    .await?;
    for row in payments {
        let entry = books.entry(row.try_get(0)?).or_default();
        entry.status = row.try_get(1)?;
        entry.captured = row.try_get(2)?;
        entry.refunded = row.try_get(3)?;
        entry.open = row.try_get(4)?;
    }
    let ledger = sqlx::query(
        "select order_id, sum(amount)::bigint from ledger where account = 'provider_balance' group by order_id",
    )
    .fetch_all(&world.payments)
    .await?;
    for row in ledger {
        books.entry(row.try_get(0)?).or_default().ledger = row.try_get(1)?;
    }
    Ok(books)
}
