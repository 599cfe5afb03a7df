//! Who audits the auditor: a good story in real databases, in which it finds nothing, and then one thing wrong at a
//! time, which it has to find, under the right promise and no other, and by name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod tale;

use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::OnceCell,
};
use uuid::Uuid;
use viscount_chassis::{
    devpg::testing::{TestDatabase, test_database},
    store::{Database, DatabaseConfig, DatabaseError},
};
use viscount_contracts::Topic;

use self::tale::*;
use super::{
    Patience, Terms, check,
    report::{Promise, Report, Suspects},
    streams,
    world::World,
};
use crate::stack::Part;

/// Those with a database.
const PARTS: [Part; 6] =
    [Part::Identity, Part::Catalog, Part::Inventory, Part::Orders, Part::Payments, Part::Simulator];

/// Those that an order is written down in, and the catalogue, which hears of stock.
const TELLING: [Part; 5] = [Part::Catalog, Part::Inventory, Part::Orders, Part::Payments, Part::Simulator];

const HOUR: u64 = 3_600;

fn terms() -> Terms {
    let patience = Patience { looks: 1, pause: Duration::from_millis(1) };
    Terms { within: 60, running: true, patience }
}

static GOOD: LazyLock<Tale> = LazyLock::new(Tale::good);

async fn migrated(part: Part) -> TestDatabase {
    test_database(part.name(), |url| async move {
        let database = Database::lazy(&DatabaseConfig::new(url))?;
        database.migrate(part.migrations().unwrap()).await?;
        database.close().await;
        Ok::<_, DatabaseError>(())
    })
    .await
}

async fn told(tale: &Tale, part: Part) -> TestDatabase {
    let database = migrated(part).await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&database.admin_url).await.unwrap();
    tale.write(part, &pool).await;
    pool.close().await;
    database
}

/// The good story's databases, shared by all tests, each of which replaces those that it breaks.
async fn good() -> &'static HashMap<Part, TestDatabase> {
    static GOOD_ONES: OnceCell<HashMap<Part, TestDatabase>> = OnceCell::const_new();
    GOOD_ONES
        .get_or_init(async || {
            let mut databases = HashMap::new();
            for part in PARTS {
                databases.insert(part, told(&GOOD, part).await);
            }
            databases
        })
        .await
}

/// A world with something wrong in it.
struct Broken {
    databases: HashMap<Part, TestDatabase>,
}

impl Broken {
    /// The good story, of which these parts may be broken.
    async fn in_parts(parts: &[Part]) -> Self {
        Self::by(&GOOD, parts).await
    }

    /// Another story, as far as these parts know it.
    async fn by(tale: &Tale, parts: &[Part]) -> Self {
        let mut databases = good().await.clone();
        for part in parts {
            databases.insert(*part, told(tale, *part).await);
        }
        Self { databases }
    }

    /// Another story, throughout.
    async fn story(change: impl FnOnce(&mut Tale)) -> Self {
        let mut tale = GOOD.clone();
        change(&mut tale);
        Self::by(&tale, &TELLING).await
    }

    /// Breaks a database behind everybody's back: as the superuser, without triggers and foreign keys.
    async fn run(&self, part: Part, sql: impl Into<String>) {
        let mut connection = PgConnection::connect(&self.databases[&part].admin_url).await.unwrap();
        let sql = format!("set session_replication_role = replica; {}", sql.into());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn world(&self) -> World {
        World::connect(|part| self.databases[&part].url.clone()).await.unwrap()
    }

    async fn report(&self, terms: &Terms) -> Report {
        check(&self.world().await, terms).await.unwrap()
    }

    /// The auditor says that this promise is broken and no other, and names what is wrong.
    async fn breaks(&self, promise: Promise, names: impl ToString, because: &str) {
        is_broken(&self.report(&terms()).await, promise, names, because);
    }
}

fn is_broken(report: &Report, promise: Promise, names: impl ToString, because: &str) {
    let found = report.violations();
    assert!(found.iter().all(|found| found.promise == promise), "only {promise:?} is broken: {report}");
    let names = names.to_string();
    let named = |text: &str| text.contains(&names) && text.contains(because);
    assert!(found.iter().any(|found| named(&found.to_string())), "{names} {because} is not named: {report}");
}

fn is_clean(report: &Report) {
    assert!(report.is_clean(), "{report}");
}

// The good world.

#[tokio::test]
async fn nothing_is_wrong_where_nothing_is_wrong() {
    let world = Broken::in_parts(&[]).await;
    let report = world.report(&terms()).await;
    is_clean(&report);
    let text = report.to_string();
    for looked_at in [
        "7 orders, 60 s",
        "3 paid orders",
        "4 charges at the provider",
        "7 reservations",
        "2 products",
        "no violations",
    ] {
        assert!(text.contains(looked_at), "{looked_at}: {text}");
    }
}

#[tokio::test]
async fn nothing_is_wrong_in_an_empty_world() {
    let mut databases = HashMap::new();
    for part in PARTS {
        databases.insert(part, migrated(part).await);
    }
    is_clean(&Broken { databases }.report(&terms()).await);
}

// I1: reserved + sold <= received, at every version.

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
        .run(
            Part::Inventory,
            format!("update reservation_lines set quantity = 3 where reservation_id = '{ASIDE}'"),
        )
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

// I2: final in time.

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
    let young = "update orders set status = 'validated', created_at = now(), due_at = now()";
    world.run(Part::Orders, format!("{young} where id = '{EXTRA}'")).await;
    let patient = Terms { within: HOUR, ..terms() };
    let audited = async { world.report(&patient).await };
    let finished = async {
        // What the auditor waits for, it has seen by then: its session looks at orders.
        let mut watcher = PgConnection::connect(&world.databases[&Part::Orders].admin_url).await.unwrap();
        let looking = "select exists (select from pg_stat_activity where datname = current_database()
            and pid <> pg_backend_pid() and query like '%due_at is null%')";
        while !sqlx::query_scalar::<_, bool>(looking).fetch_one(&mut watcher).await.unwrap() {}
        let done = format!("update orders set status = 'completed', due_at = null where id = '{EXTRA}'");
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

// I3: money.

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

// I4: outbox = log, effects had.

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

// I5: versions and projections.

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

// I6: streams.

/// A door behind which every order's stream is made from its history by `show`.
async fn door(orders: PgPool, show: fn(Vec<(i32, String)>) -> Vec<(i32, String)>) -> streams::Door {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(socket.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap().to_lowercase();
            let order: Uuid = request.split('/').nth(3).unwrap().parse().unwrap();
            let after = request.split("last-event-id: ").nth(1).unwrap().lines().next().unwrap();
            let story = sqlx::query_as(
                "select version, kind from events where stream = $1 and version > $2 order by version",
            )
            .bind(order)
            .bind(after.parse::<i32>().unwrap())
            .fetch_all(&orders)
            .await
            .unwrap();
            let body: String = show(story)
                .into_iter()
                .map(|(version, kind)| {
                    format!("id: {version}\ndata: {{\"version\":{version},\"type\":\"{kind}\"}}\n\n")
                })
                .collect();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    streams::Door::at(url)
}

async fn watched(show: fn(Vec<(i32, String)>) -> Vec<(i32, String)>) -> Report {
    let world = Broken::in_parts(&[]).await.world().await;
    let door = door(world.orders.clone(), show).await;
    let mut report = Report::default();
    streams::check(&world, Some(&door), 100, &mut report).await.unwrap();
    report
}

#[tokio::test]
async fn a_stream_is_the_history() {
    is_clean(&watched(|story| story).await);
}

#[tokio::test]
async fn a_stream_with_a_gap_a_repeat_or_another_story_is_found() {
    let gap = |story: Vec<(i32, String)>| story.into_iter().skip(1).collect();
    let repeat = |mut story: Vec<(i32, String)>| {
        story.extend(story.last().cloned());
        story
    };
    let short = |mut story: Vec<(i32, String)>| {
        story.pop();
        story
    };
    let other = |mut story: Vec<(i32, String)>| {
        story.iter_mut().for_each(|(_, kind)| *kind = "OrderCreated".to_owned());
        story
    };
    for show in [gap, repeat, short, other] as [fn(Vec<(i32, String)>) -> Vec<(i32, String)>; 4] {
        is_broken(&watched(show).await, Promise::I6, COMPLETED, "its history is");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_found() {
    let world = Broken::in_parts(&[]).await.world().await;
    // Nobody listens there.
    let door = streams::Door::at("http://127.0.0.1:1".to_owned());
    let mut report = Report::default();
    streams::check(&world, Some(&door), 100, &mut report).await.unwrap();
    is_broken(&report, Promise::I6, COMPLETED, "its stream breaks");
}

#[tokio::test]
async fn without_a_platform_streams_are_not_looked_at() {
    let world = Broken::in_parts(&[]).await.world().await;
    let mut report = Report::default();
    streams::check(&world, None, 100, &mut report).await.unwrap();
    assert!(report.is_clean() && report.to_string().contains("no platform is running"));
}

// Suspicions.

fn suspicion(of: &str) -> Report {
    let mut report = Report::default();
    report.violation(Promise::I3, of, "in motion");
    report
}

#[test]
fn only_what_stays_wrong_is_wrong() {
    let mut suspects = Suspects::default();
    for of in ["a", "b", "b"] {
        suspects.see(&suspicion(of));
    }
    assert!(suspects.sentence(suspicion("a"), 2).is_clean(), "seen once, and not lately");
    assert!(!suspects.sentence(suspicion("b"), 2).is_clean());
    assert!(suspects.sentence(suspicion("b"), 3).is_clean());
    assert!(!suspects.are_fresh());
    suspects.see(&suspicion("c"));
    assert!(suspects.are_fresh());
    suspects.see(&suspicion("b"));
    assert!(suspects.sentence(suspicion("b"), 2).is_clean(), "it was right in between");
}

#[tokio::test]
async fn what_stays_wrong_is_wrong_after_many_looks() {
    let world = Broken::in_parts(&[Part::Orders]).await;
    world.run(Part::Orders, format!("update orders set version = 9 where id = '{COMPLETED}'")).await;
    let patience = Patience { looks: 4, pause: Duration::from_millis(1) };
    let report = world.report(&Terms { patience, ..terms() }).await;
    is_broken(&report, Promise::I5, COMPLETED, "v9");
}

#[test]
fn a_verdict_is_an_exit_code() {
    assert_eq!(
        format!("{:?}", Report::default().verdict().exit_code()),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
    assert_eq!(
        format!("{:?}", suspicion("a").verdict().exit_code()),
        format!("{:?}", std::process::ExitCode::FAILURE)
    );
}

#[test]
fn a_report_is_bounded() {
    let mut report = Report::default();
    for n in 0..1_000 {
        report.violation(Promise::I1, format!("product {n}"), "wrong");
    }
    let text = report.to_string();
    assert!(text.contains("and 800 more") && text.contains("1000 violations"), "{text}");
}

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
             updated_at, due_at from orders, generate_series(1, {count}) n where id = '{COMPLETED}'", events("o"))).await;
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
        "{} insert into reservations select md5('order' || n)::uuid, of_order, state, version, expires_at, created_at, updated_at
             from reservations, generate_series(1, {count}) n where id = '{COMPLETED}';
         insert into reservation_lines select md5('order' || n)::uuid, product_id, location, quantity
             from reservation_lines, generate_series(1, {count}) n where reservation_id = '{COMPLETED}';
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
