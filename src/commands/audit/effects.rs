//! I4: an event that was handled has had its effect. Only what lies behind the reader's place counts as handled.

use std::collections::HashMap;

use sqlx::Row;
use uuid::Uuid;
use viscount_contracts::Topic;

use super::{
    events::Places,
    facts::Order,
    payments::Payment,
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// One order's reservation.
#[derive(Default)]
struct Reservation {
    state: String,
    lines: Vec<(Uuid, i64)>,
}

/// Each settled order has the reservation that its end asks for, over what was ordered.
pub async fn check_stock(
    world: &World,
    places: &Places,
    facts: &HashMap<Uuid, Order>,
    report: &mut Report,
) -> Result<(), Failure> {
    // A reservation younger than that may be of an order that was placed since the orders were read.
    let rows = sqlx::query(
        "select id, state, created_at < now() - interval '10 s' from reservations where of_order",
    )
    .fetch_all(&world.inventory)
    .await?;
    report.checked(Promise::I4, format!("{} reservations", rows.len()));
    let mut reservations: HashMap<Uuid, Reservation> = HashMap::with_capacity(rows.len());
    for row in rows {
        let (id, state, old): (Uuid, String, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if old && !facts.contains_key(&id) {
            report.violation(
                Promise::I4,
                format!("order {id}"),
                format!("its reservation is {state}, and there is no such order"),
            );
        }
        reservations.insert(id, Reservation { state, lines: Vec::new() });
    }
    let lines = sqlx::query(
        "select l.reservation_id, l.product_id, sum(l.quantity)::bigint
         from reservation_lines l join reservations r on r.id = l.reservation_id and r.of_order
         group by 1, 2 order by 1, 2",
    );
    for row in lines.fetch_all(&world.inventory).await? {
        reservations.entry(row.try_get(0)?).or_default().lines.push((row.try_get(1)?, row.try_get(2)?));
    }
    let (place, nothing) = (places.of(Topic::Inventory, Topic::Orders), Reservation::default());
    let handled = |order: &Order| order.is_settled() && order.told_stock <= place;
    for (id, order) in facts.iter().filter(|(_, order)| handled(order)) {
        let Reservation { state, lines } = reservations.get(id).unwrap_or(&nothing);
        let right = match order.status {
            "rejected" if order.rejected_for == "insufficient_stock" => state == "rejected",
            _ if order.is_delivered() => state == "sold",
            // Given back, or refused while the order ended otherwise.
            _ => state == "released" || state == "rejected",
        };
        if !right {
            let state = if state.is_empty() { "missing" } else { state };
            report.violation(
                Promise::I4,
                format!("order {id}"),
                format!("it is {}, and its reservation is {state}", order.status),
            );
        }
        if !lines.is_empty() && *lines != order.lines {
            report.violation(
                Promise::I4,
                format!("order {id}"),
                format!("ordered are {:?}, its reservation is over {lines:?}", order.lines),
            );
        }
    }
    Ok(())
}

/// Each settled order that payments were told of has its payment.
pub fn check_payments(
    places: &Places,
    facts: &HashMap<Uuid, Order>,
    payments: &HashMap<Uuid, Payment>,
    report: &mut Report,
) {
    let place = places.of(Topic::Payments, Topic::Orders);
    let handled = |order: &Order| order.is_settled() && (1..=place).contains(&order.told_payments);
    for (id, order) in facts.iter().filter(|(_, order)| handled(order)) {
        if payments.get(id).is_none_or(|payment| payment.status == "expected") {
            report.violation(
                Promise::I4,
                format!("order {id}"),
                format!("it is {}, and payments know nothing of it", order.status),
            );
        }
    }
    report.checked(Promise::I4, format!("{} payments", payments.len()));
}
