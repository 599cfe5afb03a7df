//! Defects that shops are known for, and that this one does not have. Those about two lines of one product, split
//! locations, races of replicas and abandoned reservations have their tests beside the feature.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, stream};
use serde_json::Value;
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::{OrderId, ReservationId};

use crate::app::TestApp;

#[test]
fn what_was_promised_before_the_payment_is_there_after_it_and_exactly_that_is_deducted() {
    run(async {
        let app = TestApp::start().await;
        let (tea, first) = (app.product(10).await, OrderId::new());
        app.created(first, 1, &[(tea, 6)]).await;
        app.until_kinds(first, &["InventoryReserved"]).await;
        // While the first one pays, nobody else gets its pieces …
        let second = OrderId::new();
        app.created(second, 1, &[(tea, 5)]).await;
        app.until_kinds(second, &["InventoryRejected"]).await;
        assert_eq!(app.adjust(tea, -5, "damage", "main").await.status(), 409);
        // … and when it has paid, it gets all six, not "what is left".
        app.completed(first, 2).await;
        app.until_levels(tea, 4, 0).await;
        app.assert_sound().await;
    });
}

#[test]
fn no_stock_row_is_locked_while_an_order_is_being_paid() {
    run(async {
        let app = TestApp::start().await;
        let (tea, order) = (app.product(10).await, OrderId::new());
        app.created(order, 1, &[(tea, 6)]).await;
        app.until_kinds(order, &["InventoryReserved"]).await;
        let locked =
            sqlx::query("select 1 from stock where product_id = $1 for update nowait").bind(tea.uuid());
        assert!(locked.execute(&app.pool).await.is_ok());
        let open: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'",
        )
        .fetch_one(&app.pool)
        .await
        .unwrap();
        assert_eq!(open, 0, "no transaction is left open between an order's events");
    });
}

#[test]
fn a_reservation_id_that_is_a_products_id_is_refused_in_bounded_time() {
    run(async {
        let app = TestApp::start().await;
        let tea = app.product(10).await;
        // Streams are told apart by id alone; this id has events already.
        let answer = app.reserve(ReservationId::from(tea.uuid()), &[(tea, 1)]).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(app.levels(tea).await, (10, 0));
        assert_eq!(app.reserve(ReservationId::new(), &[(tea, 10)]).await.status(), 201);
    });
}

#[test]
fn connections_that_break_at_any_moment_lose_nothing_and_double_nothing() {
    run(async {
        let app = TestApp::start().await;
        let products = [app.product(80).await, app.product(80).await];
        // Every tenth answer breaks all connections, while others are in the middle of something.
        let answered = AtomicUsize::new(0);
        let break_all = async || {
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity
                       where datname = current_database() and pid <> pg_backend_pid()";
            // Two that do this at the same time break each other; that is broken enough.
            let _ = sqlx::query(sql).execute(&app.pool).await;
        };
        let ids = stream::iter((0..200).map(|_| ReservationId::new()));
        let lines = [(products[0], 1), (products[1], 1)];
        let answers = ids.map(async |id| {
            // Whoever is told "not now" asks again with the same id.
            let status = eventually(|| async {
                let answer = app.reserve(id, &lines).await;
                let status = answer.status().as_u16();
                assert!(matches!(status, 201 | 409 | 503), "{status} {}", answer.text().await.unwrap());
                (status != 503).then_some(status)
            })
            .await;
            if answered.fetch_add(1, Ordering::Relaxed) % 10 == 9 {
                break_all().await;
            }
            status
        });
        let statuses: Vec<u16> = answers.buffer_unordered(16).collect().await;
        let held = statuses.iter().filter(|status| **status == 201).count();
        assert_eq!(held, 80);
        for product in products {
            let stock: Value = eventually(|| async {
                Some(app.stock(product).await).filter(|stock| stock["available"].is_number())
            })
            .await;
            assert_eq!((stock["on_hand"].as_i64(), stock["reserved"].as_i64()), (Some(80), Some(80)));
        }
        app.assert_sound().await;
    });
}
