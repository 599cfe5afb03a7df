//! I5: versions and projections.

use super::*;

#[tokio::test]
async fn a_gap_in_versions_is_found() {
    let world = Broken::in_parts(&[Part::Orders]).await;
    world.run(Part::Orders, format!(
        "update events set version = 5 where stream = '{COMPLETED}' and version = 4; update orders set version = 5 where id = '{COMPLETED}'"
    )).await;
    world.breaks(Promise::I5, COMPLETED, "version 5 stands where version 4 belongs").await;
}

#[tokio::test]
async fn versions_out_of_order_are_found() {
    let world = Broken::in_parts(&[Part::Identity]).await;
    world
        .run(
            Part::Identity,
            format!(
                "insert into events (position, stream, version, event_id, kind, data, occurred_at)
         values (1, '{EXTRA}', 2, gen_random_uuid(), 'UserRegistered', '', now()),
                (2, '{EXTRA}', 1, gen_random_uuid(), 'UserRegistered', '', now());
         update log_head set position = 2"
            ),
        )
        .await;
    world.breaks(Promise::I5, EXTRA, "version 2 stands where version 1 belongs").await;
}

#[tokio::test]
async fn orders_are_what_their_events_say() {
    for (column, value) in [
        ("status", "'cancelled'"),
        ("version", "9"),
        ("total", "1"),
        ("currency", "'EUR'"),
        ("refunded", "1"),
    ] {
        let world = Broken::in_parts(&[Part::Orders]).await;
        world
            .run(Part::Orders, format!("update orders set {column} = {value} where id = '{COMPLETED}'"))
            .await;
        world.breaks(Promise::I5, COMPLETED, "the table says").await;
    }
}

#[tokio::test]
async fn rows_and_events_belong_together() {
    let world = Broken::in_parts(&[Part::Orders]).await;
    world
        .run(
            Part::Orders,
            format!(
        "insert into orders (id, customer_id, status, version, total, currency, lines, created_at, updated_at)
         values ('{EXTRA}', '{EXTRA}', 'completed', 4, 1, 'GBP', '[]', now(), now());
         delete from orders where id = '{SHORT}'"
    ),
        )
        .await;
    world.breaks(Promise::I5, EXTRA, "a row and no events").await;
    world.breaks(Promise::I5, SHORT, "events and no row").await;
}

#[tokio::test]
async fn payments_are_what_their_events_say() {
    for (change, named) in [
        ("update payments set refunded = 299 where refunded = 300", PARTLY),
        ("update payments set version = version + 1 where status = 'voided'", ABANDONED),
        ("update payments set status = 'voided' where status = 'failed'", DECLINED),
        ("update refunds set amount = 299 where amount = 300", REFUND),
        ("delete from refunds where amount = 300", REFUND),
        ("delete from payments where status = 'failed'", DECLINED),
        (
            "insert into payments values ('00000000-0000-0000-0000-0000000000ce', null, 'voided', 1, null, null, 0, 0,
                 null, null, null, now(), now())",
            EXTRA,
        ),
        (
            "insert into refunds values ('00000000-0000-0000-0000-0000000000ce',
                 '00000000-0000-0000-0000-0000000000c1', 'failed', 1, 'GBP', null, null, null, now(), now())",
            EXTRA,
        ),
    ] {
        let world = Broken::in_parts(&[Part::Payments]).await;
        world.run(Part::Payments, change).await;
        world.breaks(Promise::I5, named, "").await;
    }
}

#[tokio::test]
async fn reservations_and_stock_are_what_was_written_down() {
    for (change, named) in [
        (format!("update reservations set version = 3 where id = '{ABANDONED}'"), ABANDONED),
        (format!("update reservations set state = 'rejected' where id = '{CANCELLED}'"), CANCELLED),
        (format!("update stock set version = version + 1 where product_id = '{POT}'"), POT),
    ] {
        let world = Broken::in_parts(&[Part::Inventory]).await;
        world.run(Part::Inventory, change).await;
        world.breaks(Promise::I5, named, "").await;
    }
}

#[tokio::test]
async fn products_are_what_their_events_say() {
    for change in ["price = 1", "currency = 'EUR'", "archived = true", "version = 2"] {
        let world = Broken::in_parts(&[Part::Catalog]).await;
        world.run(Part::Catalog, format!("update products set {change} where product_id = '{MUG}'")).await;
        world.breaks(Promise::I5, MUG, "the table says").await;
    }
    let world = Broken::in_parts(&[Part::Catalog]).await;
    world.run(Part::Catalog, format!("delete from products where product_id = '{POT}'")).await;
    world.breaks(Promise::I5, POT, "it has events and no row").await;
}
