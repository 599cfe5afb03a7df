//! I4: what was handled has had its effect.

use super::*;

#[tokio::test]
async fn what_a_cancelled_order_held_is_given_back() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.reserve(EXTRA);
        tale.cancel(EXTRA);
        tale.void(EXTRA);
    })
    .await;
    world.breaks(Promise::I4, EXTRA, "is cancelled, and its reservation is held").await;
    // Before inventory has come there, it is none.
    let last = GOOD.length(Topic::Orders);
    world.run(Part::Inventory, format!("update consumer_offsets set position = {last}")).await;
    is_clean(&world.report(&Terms { running: false, ..terms() }).await);
}

#[tokio::test]
async fn a_completed_order_has_left_the_house() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.reserve(EXTRA);
        tale.validate(EXTRA);
        tale.charge(EXTRA);
        tale.paid(EXTRA);
        tale.complete(EXTRA);
    })
    .await;
    world.breaks(Promise::I4, EXTRA, "is completed, and its reservation is held").await;
}

#[tokio::test]
async fn an_order_that_inventory_never_heard_of_is_found() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.cancel(EXTRA);
        tale.void(EXTRA);
    })
    .await;
    world.breaks(Promise::I4, EXTRA, "its reservation is missing").await;
}

#[tokio::test]
async fn a_reservation_over_something_else_is_found() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.reserve_instead(EXTRA, &[(MUG, 2)]);
        tale.validate(EXTRA);
        tale.charge(EXTRA);
        tale.paid(EXTRA);
        tale.complete(EXTRA);
        tale.deduct(EXTRA);
    })
    .await;
    world.breaks(Promise::I4, EXTRA, "its reservation is over").await;
}

#[tokio::test]
async fn a_reservation_of_no_order_is_found() {
    let mut tale = GOOD.clone();
    tale.abandoned(EXTRA);
    let world = Broken::by(&tale, &[Part::Inventory]).await;
    // What it has handled is not there either.
    world
        .run(
            Part::Inventory,
            format!("delete from inbox where event_id = '{}'", tale.newest(Topic::Orders, EXTRA)),
        )
        .await;
    let report = world.report(&terms()).await;
    is_broken(&report, Promise::I4, EXTRA, "there is no such order");
}

#[tokio::test]
async fn an_order_that_payments_never_heard_of_is_found() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.reserve(EXTRA);
        tale.cancel(EXTRA);
        tale.release(EXTRA);
    })
    .await;
    world.breaks(Promise::I4, EXTRA, "payments know nothing of it").await;
}

#[tokio::test]
async fn orders_sell_at_the_catalogues_price() {
    let world = Broken::in_parts(&[Part::Orders]).await;
    world.run(Part::Orders, format!("update price_book set amount = 1 where product_id = '{MUG}'")).await;
    world.breaks(Promise::I4, MUG, "orders sell it at Some((1,").await;
}

#[tokio::test]
async fn the_catalogue_knows_what_is_in_stock() {
    let world = Broken::in_parts(&[Part::Catalog]).await;
    world.run(Part::Catalog, format!("delete from availability where product_id = '{POT}'")).await;
    world.breaks(Promise::I4, POT, "the catalogue knows None").await;
}
