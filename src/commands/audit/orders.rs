//! I2: every accepted order is final in time. I5, orders' part: the projection is what the events say.

use std::{collections::HashMap, time::Duration};

use sqlx::Row;
use uuid::Uuid;

use super::{
    facts::Order,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// Waits until every order that is there now is final, or has had its time.
pub async fn check_final(world: &World, within: u64, report: &mut Report) -> Result<(), Failure> {
    let head: Option<Uuid> = sqlx::query_scalar("select max(id::text)::uuid from orders").fetch_one(&world.orders).await?;
    let count: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&world.orders).await?;
    report.checked(Promise::I2, format!("{count} orders, {within} s"));
    let Some(newest) = head else { return Ok(()) };
    loop {
        let waiting = sqlx::query(
            "select id, status, extract(epoch from now() - created_at)::float8 as age from orders
             where status in ('created', 'validated', 'paid') and id <= $1 order by id",
        )
        .bind(newest)
        .fetch_all(&world.orders)
        .await?;
        let mut young = 0;
        let mut late = Vec::new();
        for row in waiting {
            let (id, status, age): (Uuid, String, f64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if age <= within as f64 {
                young += 1;
            } else {
                late.push(format!("order {id} is {status} after {age:.0} s"));
            }
        }
        if young == 0 {
            for order in late {
                report.violation(Promise::I2, order);
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Compares the table with the events.
pub async fn check_projection(
    world: &World,
    facts: &HashMap<Uuid, Order>,
    report: &mut Report,
) -> Result<(), Failure> {
    let rows = sqlx::query("select id, status, version, total, refunded from orders").fetch_all(&world.orders).await?;
    report.checked(Promise::I5, format!("{} rows of orders", rows.len()));
    let mut seen = 0;
    for row in rows {
        let (id, status, version): (Uuid, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (total, refunded): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        let Some(order) = facts.get(&id) else {
            report.violation(Promise::I5, format!("order {id} has a row and no events"));
            continue;
        };
        seen += 1;
        if (status.as_str(), version, total, refunded) != (order.status, order.version, order.total, order.refunded) {
            report.violation(
                Promise::I5,
                format!(
                    "order {id}: the table says {status} v{version} {total} refunded {refunded}, its events say {} v{} {} refunded {}",
                    order.status, order.version, order.total, order.refunded
                ),
            );
        }
    }
    if seen < facts.len() {
        report.violation(Promise::I5, format!("{} orders have events and no row", facts.len() - seen));
    }
    Ok(())
}
