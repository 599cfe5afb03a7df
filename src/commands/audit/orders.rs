//! I2: every accepted order is final in time. I5, orders' part: the projection is what the events say.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::Row;
use uuid::Uuid;

use super::{
    Terms,
    facts::Order,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// Waits until every order that is there now is final, or has had its time. Where no platform runs, nothing moves, and
/// nothing is waited for.
pub async fn check_final(world: &World, terms: &Terms, report: &mut Report) -> Result<(), Failure> {
    let head: Option<Uuid> =
        sqlx::query_scalar("select max(id::text)::uuid from orders").fetch_one(&world.orders).await?;
    let count: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&world.orders).await?;
    report.checked(Promise::I2, format!("{count} orders, {} s", terms.within));
    let Some(newest) = head else { return Ok(()) };
    loop {
        let waiting = sqlx::query(
            "select id, status, extract(epoch from now() - created_at)::float8,
                not exists (select from order_deadlines d where d.order_id = orders.id) from orders
             where status in ('created', 'validated', 'paid') and id <= $1 order by id",
        )
        .bind(newest)
        .fetch_all(&world.orders)
        .await?;
        let mut young = 0;
        let mut late = Vec::new();
        for row in waiting {
            let (id, status, age): (Uuid, String, f64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let unattended: bool = row.try_get(3)?;
            if age <= terms.within as f64 {
                young += 1;
            } else {
                let nobody = if unattended && status != "paid" { ", and it has no deadline" } else { "" };
                late.push((format!("order {id}"), format!("is {status} after {age:.0} s{nobody}")));
            }
        }
        if young > 0 && !terms.running {
            report.checked(Promise::I2, format!("{young} on their way: no platform is running"));
        }
        if young == 0 || !terms.running {
            for (order, what) in late {
                report.violation(Promise::I2, order, what);
            }
            return Ok(());
        }
        tokio::time::sleep(terms.patience.pause).await;
    }
}

/// A refund that was asked for has an outcome in time.
pub fn check_refunds(facts: &HashMap<Uuid, Order>, terms: &Terms, report: &mut Report) {
    let now = Timestamp::now();
    for (id, order) in facts {
        for (refund, (amount, since)) in &order.open_refunds {
            let age = now.duration_since(*since).as_secs();
            if u64::try_from(age).is_ok_and(|age| age > terms.within) {
                let what = format!("refund {refund} of {amount} has no outcome after {age} s");
                report.violation(Promise::I2, format!("order {id}"), what);
            }
        }
    }
}

/// Compares the table with the events.
pub async fn check_projection(
    world: &World,
    facts: &HashMap<Uuid, Order>,
    report: &mut Report,
) -> Result<(), Failure> {
    let rows = sqlx::query("select id, status, version, total, currency, refunded from orders")
        .fetch_all(&world.orders)
        .await?;
    report.checked(Promise::I5, format!("{} rows of orders", rows.len()));
    let mut seen = HashSet::with_capacity(rows.len());
    for row in rows {
        let (id, status, version): (Uuid, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (total, currency, refunded): (i64, String, i64) =
            (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        seen.insert(id);
        let of = format!("order {id}");
        let Some(order) = facts.get(&id) else {
            report.violation(Promise::I5, of, "it has a row and no events");
            continue;
        };
        let told = (order.status, order.version, order.total, order.currency.as_str(), order.refunded);
        if (status.as_str(), version, total, currency.as_str(), refunded) != told {
            report.violation(
                Promise::I5,
                of,
                format!(
                    "the table says {status} v{version} {total} {currency} refunded {refunded}, its events say {} v{} \
                     {} {} refunded {}",
                    told.0, told.1, told.2, told.3, told.4
                ),
            );
        }
    }
    for id in facts.keys().filter(|id| !seen.contains(id)) {
        report.violation(Promise::I5, format!("order {id}"), "it has events and no row");
    }
    Ok(())
}
