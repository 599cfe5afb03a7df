//! An audit asks about all orders at once.

use super::*;

/// Not a benchmark: an auditor that asks once for each order would take minutes here.
#[tokio::test]
async fn many_orders_are_audited_at_once() {
    let world = Broken::in_parts(&TELLING).await;
    multiply(&world, 20_000).await;
    let began = Instant::now();
    is_clean(&world.report(&terms()).await);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

/// Copies of the completed order with ids of their own; its products' stock grows by as much.
async fn multiply(world: &Broken, count: i64) {
    let events = |end: &str| {
        format!(
        "insert into events (position, stream, version, event_id, kind, data, occurred_at)
         select (select max(position) from events) + row_number() over (order by n, e.version), md5('order' || n)::uuid, e.version,
             md5('{end}' || n || e.version)::uuid, e.kind, e.data, e.occurred_at
         from events e, generate_series(1, {count}) n where e.stream = '{COMPLETED}';
         update log_head set position = (select max(position) from events);"
    )
    };
    world.run(Part::Orders, format!(
        "{} insert into orders select md5('order' || n)::uuid, customer_id, status, version, total, currency, refunded, lines, reason, created_at,
             updated_at from orders, generate_series(1, {count}) n where id = '{COMPLETED}'", events("o"))).await;
    world.run(Part::Payments, format!(
        "{} insert into payments select md5('order' || n)::uuid, customer_id, status, version, amount, currency, captured, refunded,
             'ch_' || lpad(to_hex(1000 + n), 16, '0'), failure_code, failure_detail, created_at, updated_at
             from payments, generate_series(1, {count}) n where order_id = '{COMPLETED}';
         insert into ledger select md5('p' || n || 1)::uuid, account, md5('order' || n)::uuid, amount, currency, posted_at
             from ledger, generate_series(1, {count}) n where order_id = '{COMPLETED}'", events("p"))).await;
    world.run(Part::Simulator, format!(
        "insert into charges select 1000 + n, md5('order' || n)::uuid::text, amount, currency, source, captured, status, failure_code,
             failure_message, amount_refunded, '{{}}', created_at from charges, generate_series(1, {count}) n where idempotency_key = '{COMPLETED}'")).await;
    world.run(Part::Inventory, format!(
        "{} insert into reservations select md5('order' || n)::uuid, of_order, state, version, expires_at, created_at, updated_at,
                 products, places, quantities
             from reservations, generate_series(1, {count}) n where id = '{COMPLETED}';
         with received as (
             insert into movements (product_id, location, kind, delta_on_hand, delta_reserved, version)
             select product_id, location, 'receipt', {count} * quantity, 0,
                 (select version + 1 from stock s where s.product_id = l.product_id and s.location = l.location)
             from reservation_lines l where reservation_id = '{COMPLETED}'
         )
         insert into movements (product_id, location, kind, reservation_id, delta_on_hand, delta_reserved, version)
         select m.product_id, m.location, m.kind, md5('order' || n)::uuid, m.delta_on_hand, m.delta_reserved,
             s.version + 2 * n + (m.kind = 'sell')::int
         from movements m join stock s using (product_id, location), generate_series(1, {count}) n where m.reservation_id = '{COMPLETED}';
         update stock s set version = version + 1 + 2 * {count} where location = 'main'", events("i"))).await;
    let heads = "update consumer_offsets o set position = position + {n} * {count}";
    for (part, topic, per_order) in [
        (Part::Orders, "inventory.events.v1", 2),
        (Part::Orders, "payments.events.v1", 1),
        (Part::Inventory, "orders.events.v1", 4),
        (Part::Payments, "orders.events.v1", 4),
        (Part::Catalog, "inventory.events.v1", 2),
    ] {
        let moved = heads.replace("{n}", &per_order.to_string()).replace("{count}", &count.to_string());
        world.run(part, format!("{moved} where topic = '{topic}'")).await;
    }
}
