//! I2: final in time.

use super::*;

#[tokio::test]
async fn an_order_that_waits_too_long_is_stuck() {
    let mut tale = GOOD.clone();
    tale.create(EXTRA, &[(MUG, 1)]);
    tale.orders.get_mut(&EXTRA).unwrap().due = true;
    let world = Broken::by(&tale, &[Part::Orders]).await;
    world.run(Part::Orders, format!("update orders set status = 'validated' where id = '{EXTRA}'")).await;
    let report = world.report(&terms()).await;
    let stuck = report.violations().iter().find(|found| found.promise == Promise::I2).unwrap();
    assert!(
        stuck.to_string().contains(&EXTRA.to_string()) && stuck.what.contains("is validated after 36"),
        "{stuck}"
    );
    assert!(!stuck.what.contains("deadline"), "{stuck}");
}

#[tokio::test]
async fn stuck_in_validated() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.reserve(EXTRA);
        tale.validate(EXTRA);
        tale.charge(EXTRA);
    })
    .await;
    world.breaks(Promise::I2, EXTRA, "is validated after 36").await;
}

#[tokio::test]
async fn nobody_would_wake_an_order_without_a_deadline() {
    let world = Broken::story(|tale| {
        tale.create(EXTRA, &[(MUG, 1)]);
        tale.orders.get_mut(&EXTRA).unwrap().due = false;
    })
    .await;
    world.breaks(Promise::I2, EXTRA, "and it has no deadline").await;
}

#[tokio::test]
async fn a_young_order_is_waited_for() {
    let mut tale = GOOD.clone();
    tale.completed(EXTRA, &[(MUG, 1)]);
    let world = Broken::by(&tale, &TELLING).await;
    let young = "update orders set status = 'validated', created_at = now()";
    world.run(Part::Orders, format!("{young} where id = '{EXTRA}'")).await;
    let patient = Terms { within: HOUR, ..terms() };
    let audited = async { world.report(&patient).await };
    let finished = async {
        // What the auditor waits for, it has seen by then: its session looks at orders.
        let mut watcher = PgConnection::connect(&world.databases[&Part::Orders].admin_url).await.unwrap();
        let looking = "select exists (select from pg_stat_activity where datname = current_database()
            and pid <> pg_backend_pid() and query like '%not exists (select from order_deadlines%')";
        while !sqlx::query_scalar::<_, bool>(looking).fetch_one(&mut watcher).await.unwrap() {}
        let done = format!("update orders set status = 'completed' where id = '{EXTRA}'");
        world.run(Part::Orders, done).await;
    };
    let (report, ()) = tokio::join!(audited, finished);
    is_clean(&report);
}

#[tokio::test]
async fn a_refund_without_an_outcome_is_stuck() {
    let world = Broken::story(|tale| tale.ask_refund(COMPLETED, EXTRA, 100)).await;
    world.breaks(Promise::I2, COMPLETED, &format!("refund {EXTRA} of 100 has no outcome")).await;
}

#[tokio::test]
async fn where_no_platform_runs_a_young_order_is_not_waited_for() {
    let mut tale = GOOD.clone();
    tale.create(EXTRA, &[(MUG, 1)]);
    let world = Broken::by(&tale, &[Part::Orders]).await;
    let report = world.report(&Terms { within: 2 * HOUR, running: false, ..terms() }).await;
    is_clean(&report);
    assert!(
        report.to_string().contains("8 orders, 7200 s, 1 on their way: no platform is running"),
        "{report}"
    );
}
