//! I4: outbox = log.

use super::*;

#[tokio::test]
async fn a_gap_in_the_log_is_found() {
    let world = Broken::in_parts(&[Part::Orders]).await;
    world
        .run(
            Part::Orders,
            "update events set position = position + 1 where position = (select max(position) from events)",
        )
        .await;
    let gap = GOOD.length(Topic::Orders);
    world.breaks(Promise::I4, "orders.events.v1", &format!("nothing is at positions {gap} to {gap}")).await;
}

#[tokio::test]
async fn a_log_that_ends_early_is_found() {
    let world = Broken::in_parts(&[Part::Identity]).await;
    world.run(Part::Identity, "update log_head set position = position + 1").await;
    world.breaks(Promise::I4, "identity.events.v1", "ends at 1, its last event is 0").await;
}

#[tokio::test]
async fn an_event_id_twice_is_found() {
    let world = Broken::in_parts(&[Part::Payments]).await;
    let (voided, other) = (GOOD.newest(Topic::Payments, ABANDONED), GOOD.newest(Topic::Catalog, MUG));
    world
        .run(Part::Payments, format!("update events set event_id = '{other}' where event_id = '{voided}'"))
        .await;
    world.breaks(Promise::I4, other, "is in catalog.events.v1 and again in payments.events.v1").await;

    let world = Broken::in_parts(&[Part::Payments]).await;
    let (same, event) = ("(select event_id from events where position = 1)", voided);
    world
        .run(Part::Payments, format!("update events set event_id = {same} where event_id = '{event}'"))
        .await;
    world.breaks(Promise::I4, "event", "is in payments.events.v1 and again in payments.events.v1").await;
}

#[tokio::test]
async fn a_dead_letter_is_found() {
    let world = Broken::in_parts(&[Part::Inventory]).await;
    let event = GOOD.newest(Topic::Orders, COMPLETED);
    world.run(Part::Inventory, format!(
        "insert into dead_letters (consumer, event_id, topic, position, key, version, kind, data, occurred_at, state, attempts, error)
         values ('inventory', '{event}', 'orders.events.v1', 1, '{COMPLETED}', 4, 'OrderCompleted', '', now(), 'dead', 5, 'too hot')"
    )).await;
    world.breaks(Promise::I4, event, "is dead at inventory: too hot").await;
}

#[tokio::test]
async fn a_message_without_an_event_is_found() {
    let world = Broken::in_parts(&[Part::Inventory]).await;
    world.run(Part::Inventory, format!(
        "insert into unreadable_messages
            (consumer, id, topic, partition, message_offset, headers, bytes, state, attempts, error, errors)
         values ('inventory', '{EXTRA}', 'orders.events.v1', 2, 7, '[]', 0, 'dead', 1, 'ce_id is missing', '[]')"
    )).await;
    world
        .breaks(
            Promise::I4,
            "message 7 of partition 2 of orders.events.v1",
            "inventory found no event in it: ce_id is missing",
        )
        .await;
}

#[tokio::test]
async fn an_event_that_nobody_published_is_found() {
    let world = Broken::in_parts(&[Part::Payments]).await;
    world.run(Part::Payments, format!("insert into inbox (event_id) values ('{EXTRA}')")).await;
    world.breaks(Promise::I4, EXTRA, "nobody has published it").await;
}

#[tokio::test]
async fn an_event_in_a_wrong_inbox_is_found() {
    let world = Broken::in_parts(&[Part::Payments]).await;
    let event = GOOD.newest(Topic::Catalog, POT);
    world.run(Part::Payments, format!("insert into inbox (event_id) values ('{event}')")).await;
    world.breaks(Promise::I4, event, "does not read catalog.events.v1").await;
}

#[tokio::test]
async fn a_reader_beyond_the_end_is_found() {
    let world = Broken::in_parts(&[Part::Inventory]).await;
    world.run(Part::Inventory, "update consumer_offsets set position = 9999").await;
    world.breaks(Promise::I4, "inventory reading orders.events.v1", "has come to 9999").await;
}

#[tokio::test]
async fn a_reader_that_stands_still_is_found_where_a_platform_runs() {
    let world = Broken::in_parts(&[Part::Payments]).await;
    world.run(Part::Payments, "delete from consumer_offsets").await;
    world.breaks(Promise::I4, "payments reading orders.events.v1", "has come to 0, and does not go on").await;
    is_clean(&world.report(&Terms { running: false, ..terms() }).await);
}
