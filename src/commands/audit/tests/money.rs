//! I3: one capture, and money adds up.

use super::*;

#[tokio::test]
async fn captured_twice_is_found() {
    let world = Broken::story(|tale| {
        tale.completed(EXTRA, &[(MUG, 1)]);
        tale.paid(EXTRA);
        tale.complete(EXTRA);
    })
    .await;
    world.breaks(Promise::I3, EXTRA, "2 captures").await;
}

#[tokio::test]
async fn payments_that_take_money_twice_are_found() {
    let world = Broken::story(|tale| {
        tale.completed(EXTRA, &[(MUG, 1)]);
        let charge = tale.payments[&EXTRA].charge.unwrap();
        tale.captured(EXTRA, 500, charge);
    })
    .await;
    world.breaks(Promise::I3, EXTRA, "payments took money 2 times").await;
}

#[tokio::test]
async fn money_of_a_rejected_order_goes_back() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.reserve(EXTRA);
        tale.validate(EXTRA);
        tale.rejected(EXTRA, "payment_declined");
        tale.release(EXTRA);
        tale.charge(EXTRA);
        tale.noted(EXTRA);
    })
    .await;
    world.breaks(Promise::I3, EXTRA, "rejected: 500 taken and only 0 returned").await;
}

#[tokio::test]
async fn money_that_the_order_never_heard_of_is_found() {
    let world = Broken::story(|tale| {
        tale.abandoned(EXTRA);
        tale.charge(EXTRA);
    })
    .await;
    world.breaks(Promise::I3, EXTRA, "its events say 0 taken and 0 returned, payments say 500 and 0").await;
}

#[tokio::test]
async fn more_returned_than_taken_is_found() {
    let world = Broken::story(|tale| {
        tale.refund(PARTLY, EXTRA, 700);
        tale.refunded(PARTLY, EXTRA, 700);
    })
    .await;
    world.breaks(Promise::I3, PARTLY, "1700 returned of 1000 taken").await;
}

#[tokio::test]
async fn an_order_costs_what_is_taken() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.reserve(EXTRA);
        tale.validate(EXTRA);
        let charge = tale.provider_takes(&EXTRA.to_string(), Some(EXTRA), 400);
        tale.captured(EXTRA, 400, charge);
        tale.paid(EXTRA);
        tale.complete(EXTRA);
        tale.deduct(EXTRA);
    })
    .await;
    world.breaks(Promise::I3, EXTRA, "400 taken, and it costs 500").await;
}

#[tokio::test]
async fn a_torn_ledger_is_found() {
    let world = Broken::in_parts(&[Part::Payments]).await;
    let transaction = GOOD.newest(Topic::Payments, COMPLETED);
    world.run(Part::Payments, format!("update ledger set amount = amount + 1 where transaction_id = '{transaction}' and account = 'sales'")).await;
    world.breaks(Promise::I3, transaction, "sums to 1").await;
    world.breaks(Promise::I3, COMPLETED, "-2199 sales").await;
}

#[tokio::test]
async fn a_ledger_without_its_event_is_found() {
    let world = Broken::in_parts(&[Part::Payments]).await;
    world.run(Part::Payments, format!(
        "insert into ledger select '{EXTRA}', account, order_id, amount, currency, posted_at from ledger where order_id = '{COMPLETED}'"
    )).await;
    world.breaks(Promise::I3, EXTRA, "no event tells").await;
    world.breaks(Promise::I3, COMPLETED, "4400 balance").await;
}

#[tokio::test]
async fn charges_without_an_order_are_found() {
    let mut tale = GOOD.clone();
    tale.provider_takes(&EXTRA.to_string(), None, 900);
    tale.provider_takes("by-hand", None, 901);
    let world = Broken::by(&tale, &[Part::Simulator]).await;
    world.breaks(Promise::I3, EXTRA, "took 900").await;
    world.breaks(Promise::I3, "by-hand", "took 901").await;
}

#[tokio::test]
async fn charged_twice_is_found() {
    let mut tale = GOOD.clone();
    tale.provider_takes("another-key", Some(COMPLETED), 2_200);
    let world = Broken::by(&tale, &[Part::Simulator]).await;
    world.breaks(Promise::I3, COMPLETED, "the provider charged it 2 times").await;
}

#[tokio::test]
async fn charged_otherwise_is_found() {
    let world = Broken::in_parts(&[Part::Simulator]).await;
    world
        .run(
            Part::Simulator,
            format!("update charges set amount = 2201 where idempotency_key = '{COMPLETED}'"),
        )
        .await;
    world.breaks(Promise::I3, COMPLETED, "the provider took 2201").await;
    world
        .run(
            Part::Simulator,
            format!(
                "update charges set amount = 2200, currency = 'EUR' where idempotency_key = '{COMPLETED}'"
            ),
        )
        .await;
    world.breaks(Promise::I3, COMPLETED, "ordered in GBP, charged in EUR").await;
}

#[tokio::test]
async fn money_that_the_provider_never_took_is_found() {
    let world = Broken::in_parts(&[Part::Simulator]).await;
    world.run(Part::Simulator, format!("delete from charges where idempotency_key = '{COMPLETED}'")).await;
    world.breaks(Promise::I3, COMPLETED, "the provider took 0").await;
}

#[tokio::test]
async fn a_refund_that_the_provider_never_made_is_found() {
    let world = Broken::in_parts(&[Part::Simulator]).await;
    world.run(Part::Simulator, format!("delete from refunds where idempotency_key = '{REFUND}'")).await;
    world.breaks(Promise::I3, PARTLY, "300 returned, its refunds come to 0").await;
}

#[tokio::test]
async fn a_question_that_nobody_asks_again_is_found() {
    let mut tale = GOOD.clone();
    tale.create(EXTRA, &[(MUG, 1)]);
    tale.cancel(EXTRA);
    tale.pending(EXTRA);
    let world = Broken::by(&tale, &[Part::Orders, Part::Payments]).await;
    let report = world.report(&Terms { running: false, ..terms() }).await;
    is_broken(&report, Promise::I3, EXTRA, "is pending, and nobody asks");
    let asked = |hours: u32| {
        format!(
        "insert into open_calls values ('{EXTRA}', '{EXTRA}', 'charge', now(), 9, now() - interval '{hours} h')
         on conflict (call_key) do update set opened_at = excluded.opened_at"
    )
    };
    world.run(Part::Payments, asked(0)).await;
    is_clean(&world.report(&Terms { running: false, ..terms() }).await);
    world.run(Part::Payments, asked(1)).await;
    let report = world.report(&Terms { running: false, ..terms() }).await;
    is_broken(&report, Promise::I3, EXTRA, "has not answered its charge for 9 attempts");
}

#[tokio::test]
async fn a_refund_that_nobody_asks_for_again_is_found() {
    let world = Broken::story(|tale| {
        tale.ask_refund(COMPLETED, EXTRA, 100);
        tale.refund_pending(COMPLETED, EXTRA, 100);
    })
    .await;
    let report = world.report(&Terms { within: 2 * HOUR, ..terms() }).await;
    is_broken(&report, Promise::I3, COMPLETED, &format!("refund {EXTRA} is open, and nobody asks"));
}

#[tokio::test]
async fn payments_for_nobody_are_found() {
    let mut tale = GOOD.clone();
    tale.abandoned(EXTRA);
    tale.charge(EXTRA);
    let world = Broken::by(&tale, &[Part::Payments]).await;
    let unheard = format!("delete from inbox where event_id = '{}'", tale.newest(Topic::Orders, EXTRA));
    world.run(Part::Payments, unheard + "; update consumer_offsets set position = position - 2").await;
    // Orders are told of it later: they have not come there yet.
    let report = world.report(&Terms { running: false, ..terms() }).await;
    is_broken(&report, Promise::I3, EXTRA, "payments took 500 for it, and there is no such order");
}

#[tokio::test]
async fn a_payment_is_in_the_currency_of_its_order_and_names_its_charge() {
    for (change, because) in [
        ("currency = 'EUR'", "ordered in GBP, paid in EUR"),
        ("provider_reference = 'ch_00000000000000ff'", "payments name charge Some(\"ch_00000000000000ff\")"),
    ] {
        let world = Broken::in_parts(&[Part::Payments]).await;
        world
            .run(Part::Payments, format!("update payments set {change} where order_id = '{COMPLETED}'"))
            .await;
        world.breaks(Promise::I3, COMPLETED, because).await;
    }
}

#[tokio::test]
async fn another_providers_books_are_not_asked_for() {
    let world = Broken::in_parts(&[Part::Payments, Part::Simulator]).await;
    world.run(Part::Simulator, "delete from charges; delete from refunds").await;
    world.run(Part::Payments, "update payments set provider_reference = 'pi_' || order_id").await;
    is_clean(&world.report(&terms()).await);
}
