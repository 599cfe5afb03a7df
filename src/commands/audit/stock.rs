//! I1: reserved + sold ≤ received, at every version; and the reservations that explain it.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;

use super::{
    facts::Order,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// Checks the ledger of movements against itself and against the stock, and reservations against both.
pub async fn check(world: &World, report: &mut Report) -> Result<(), Failure> {
    let pool = &world.inventory;
    let (movements, products): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct product_id) from movements").fetch_one(pool).await?;
    report.checked(Promise::I1, format!("{movements} movements of {products} products"));

    let torn = sqlx::query(
        "with step as (
            select product_id, location, version, sum(delta_on_hand) as held, sum(delta_reserved) as reserved
            from movements group by 1, 2, 3
         ), running as (
            select product_id, location, version,
                sum(held) over w as on_hand, sum(reserved) over w as reserved
            from step window w as (partition by product_id, location order by version)
         )
         select product_id, location, version, on_hand::bigint, reserved::bigint from running
         where reserved < 0 or reserved > on_hand limit 100",
    )
    .fetch_all(pool)
    .await?;
    for row in torn {
        let (product, location): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
        let (version, on_hand, reserved): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        report.violation(
            Promise::I1,
            format!("product {product} at {location}, version {version}: {reserved} reserved of {on_hand} on hand"),
        );
    }

    let differing = sqlx::query(
        "select product_id, location, s.on_hand::bigint, s.reserved::bigint, m.on_hand::bigint, m.reserved::bigint,
            l.quantity::bigint
         from stock s
         full join (select product_id, location, sum(delta_on_hand) as on_hand, sum(delta_reserved) as reserved
                    from movements group by 1, 2) m using (product_id, location)
         left join (select product_id, location, sum(quantity) as quantity
                    from reservation_lines l join reservations r on r.id = l.reservation_id and r.state = 'held'
                    group by 1, 2) l using (product_id, location)
         where s.on_hand is distinct from m.on_hand and coalesce(m.on_hand, 0) <> coalesce(s.on_hand, 0)
            or coalesce(s.reserved, 0) <> coalesce(m.reserved, 0)
            or coalesce(s.reserved, 0) <> coalesce(l.quantity, 0)
         limit 100",
    )
    .fetch_all(pool)
    .await?;
    for row in differing {
        let (product, location): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
        let figure = |column: usize| row.try_get::<Option<i64>, _>(column).map(|n| n.unwrap_or(0));
        report.violation(
            Promise::I1,
            format!(
                "product {product} at {location}: the stock says {} on hand and {} reserved, its movements {} and {}, \
                 its reservations {} reserved",
                figure(2)?,
                figure(3)?,
                figure(4)?,
                figure(5)?,
                figure(6)?
            ),
        );
    }
    Ok(())
}

/// Each settled order has the reservation that its end asks for: effects that were published were had.
pub async fn check_orders(
    world: &World,
    facts: &HashMap<Uuid, Order>,
    report: &mut Report,
) -> Result<(), Failure> {
    let rows = sqlx::query("select id, state from reservations where of_order").fetch_all(&world.inventory).await?;
    report.checked(Promise::I4, format!("{} reservations", rows.len()));
    let mut states: HashMap<Uuid, String> = HashMap::with_capacity(rows.len());
    for row in rows {
        states.insert(row.try_get(0)?, row.try_get(1)?);
    }
    for (id, order) in facts.iter().filter(|(_, order)| order.is_settled()) {
        let state = states.get(id).map_or("missing", String::as_str);
        let right = match order.status {
            "completed" | "partially_refunded" | "refunded" => state == "sold",
            "rejected" if order.rejected_for == "insufficient_stock" => state == "rejected",
            // Released, refused, or never made because the order had ended first.
            _ => matches!(state, "released" | "rejected" | "missing"),
        };
        if !right {
            report.violation(Promise::I4, format!("order {id} is {} and its reservation {state}", order.status));
        }
    }
    Ok(())
}
