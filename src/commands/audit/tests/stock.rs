//! I1: reserved + sold ≤ received, at every version.

use super::*;

#[tokio::test]
async fn oversold_for_a_moment_is_oversold() {
    let mut tale = GOOD.clone();
    tale.moved(MUG, "main", "correction", None, -15, 0);
    tale.moved(MUG, "main", "correction", None, 15, 0);
    let world = Broken::by(&tale, &[Part::Inventory]).await;
    world.breaks(Promise::I1, MUG, "1 were reserved of 0 on hand").await;
}

#[tokio::test]
async fn stock_is_the_sum_of_its_movements() {
    let world = Broken::in_parts(&[Part::Inventory]).await;
    world
        .run(
            Part::Inventory,
            format!(
                "update stock set on_hand = on_hand + 1 where product_id = '{POT}' and location = 'north'"
            ),
        )
        .await;
    world.breaks(Promise::I1, POT, "6 on hand and 0 reserved, its movements 5 and 0").await;
}

#[tokio::test]
async fn stock_without_movements_is_found() {
    let world = Broken::in_parts(&[Part::Inventory]).await;
    world
        .run(
            Part::Inventory,
            format!("delete from movements where product_id = '{POT}' and location = 'north'"),
        )
        .await;
    let report = world.report(&terms()).await;
    assert!(
        report
            .violations()
            .iter()
            .any(|found| found.promise == Promise::I1 && found.of.contains(&POT.to_string()))
    );
}

#[tokio::test]
async fn reserved_is_what_reservations_hold() {
    let world = Broken::in_parts(&[Part::Inventory]).await;
    world
        .run(Part::Inventory, format!("update reservations set quantities = '{{3}}' where id = '{ASIDE}'"))
        .await;
    world.breaks(Promise::I1, MUG, "its reservations 3 reserved").await;
    world.breaks(Promise::I1, ASIDE, "held over 3").await;
}

#[tokio::test]
async fn given_back_twice_is_found() {
    let mut tale = GOOD.clone();
    tale.moved(POT, "main", "release", Some(CANCELLED), 0, -1);
    tale.moved(POT, "main", "correction", None, 0, 1);
    let world = Broken::by(&tale, &[Part::Inventory]).await;
    world.breaks(Promise::I1, CANCELLED, "-1 reserved").await;
}

#[tokio::test]
async fn sold_for_nobody_is_found() {
    let mut tale = GOOD.clone();
    tale.moved(POT, "main", "reserve", Some(EXTRA), 0, 1);
    tale.moved(POT, "main", "sell", Some(EXTRA), -1, -1);
    let world = Broken::by(&tale, &[Part::Inventory]).await;
    world.breaks(Promise::I1, EXTRA, "missing").await;
}
