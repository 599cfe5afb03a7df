//! Reservations over HTTP.

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::{ProductId, ReservationId};

use crate::app::{TestApp, wish};

#[test]
fn two_hundred_at_once_on_ten_pieces_get_exactly_ten() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(10).await;
        let answers =
            join_all((0..200).map(async |_| app.reserve(ReservationId::new(), &[(product, 1)]).await)).await;
        let held = answers.iter().filter(|answer| answer.status() == 201).count();
        let refused = answers.iter().filter(|answer| answer.status() == 409).count();
        assert_eq!((held, refused), (10, 190));
        assert_eq!(app.levels(product).await, (10, 10));
        app.assert_sound().await;
    });
}

#[test]
fn all_lines_or_none_and_every_short_line_is_named() {
    run(async {
        let app = TestApp::start().await;
        let (plenty, few, none) = (app.product(100).await, app.product(2).await, ProductId::new());
        let refused = app.reserve(ReservationId::new(), &[(few, 3), (plenty, 1), (none, 4)]).await;
        assert_eq!(refused.status(), 409);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/insufficient-stock");
        assert_eq!(
            problem["lines"],
            json!([
                {"product_id": few, "wanted": 3, "available": 2},
                {"product_id": none, "wanted": 4, "available": 0},
            ])
        );
        assert_eq!(app.levels(plenty).await, (100, 0));
        assert_eq!(app.levels(few).await, (2, 0));
        assert_eq!(app.reserve(ReservationId::new(), &[(few, 2), (plenty, 1)]).await.status(), 201);
        assert_eq!((app.levels(plenty).await, app.levels(few).await), ((100, 1), (2, 2)));
        app.assert_sound().await;
    });
}

#[test]
fn crossing_reservations_over_several_products_never_block_each_other_or_leave_halves() {
    run(async {
        let app = TestApp::start().await;
        let products = [app.product(30).await, app.product(40).await, app.product(50).await];
        let [a, b, c] = products;
        let wishes = (0..150).map(|number| match number % 3 {
            0 => vec![(c, 1), (a, 1)],
            1 => vec![(b, 1), (c, 1)],
            _ => vec![(a, 1), (b, 1), (c, 1)],
        });
        let wishes: Vec<_> = wishes.collect();
        let answers = join_all(wishes.iter().map(|wish| app.reserve(ReservationId::new(), wish))).await;
        let mut expected = [0i64; 3];
        for (wish, answer) in wishes.iter().zip(&answers) {
            assert!(matches!(answer.status().as_u16(), 201 | 409), "{}", answer.status());
            if answer.status() == 201 {
                for (product, quantity) in wish {
                    let index = products.iter().position(|known| known == product).unwrap();
                    expected[index] += i64::from(*quantity);
                }
            }
        }
        for (product, expected) in products.iter().zip(expected) {
            assert_eq!(app.levels(*product).await.1, expected);
        }
        // Nobody was refused while all that they wanted was there: the scarcest product is sold out.
        assert_eq!(app.levels(c).await.0 - app.levels(c).await.1, 0);
        app.assert_sound().await;
    });
}

#[test]
fn two_lines_of_one_product_are_checked_together() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(5).await;
        let refused = app.reserve(ReservationId::new(), &[(product, 3), (product, 3)]).await;
        assert_eq!(refused.status(), 409);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["lines"], json!([{"product_id": product, "wanted": 6, "available": 5}]));
        let held: Value =
            app.reserve(ReservationId::new(), &[(product, 2), (product, 3)]).await.json().await.unwrap();
        assert_eq!(held["lines"], json!([{"product_id": product, "quantity": 5}]));
    });
}

#[test]
fn a_reservation_may_be_split_over_locations() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product_at(&[("north", 4), ("south", 3)]).await;
        let id = ReservationId::new();
        assert_eq!(app.reserve(id, &[(product, 6)]).await.status(), 201);
        let stock = app.stock(product).await;
        assert_eq!(stock["available"], 1);
        assert_eq!(
            stock["locations"],
            json!([
                {"location": "north", "on_hand": 4, "reserved": 4},
                {"location": "south", "on_hand": 3, "reserved": 2},
            ])
        );
        assert_eq!(app.release(id).await.status(), 200);
        assert_eq!(app.levels(product).await, (7, 0));
        app.assert_sound().await;
    });
}

#[test]
fn the_same_id_again_answers_the_same() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(5).await;
        let id = ReservationId::new();
        let first = app.reserve(id, &[(product, 2)]).await;
        assert_eq!(first.status(), 201);
        let first = first.bytes().await.unwrap();
        let again = app.reserve(id, &[(product, 2)]).await;
        assert_eq!(again.status(), 201);
        assert_eq!(again.bytes().await.unwrap(), first);
        // Also from a replica that has never seen it.
        let replica = app.replica().await;
        let url = format!("http://{}/v1/inventory/reserve", replica.addr());
        let elsewhere =
            app.http.post(url).bearer_auth(&app.admin).json(&wish(id, &[(product, 2)])).send().await.unwrap();
        assert_eq!(elsewhere.status(), 201);
        assert_eq!(elsewhere.bytes().await.unwrap(), first);
        assert_eq!(app.reserve(id, &[(product, 3)]).await.status(), 409, "other lines");
        assert_eq!(app.levels(product).await, (5, 2));

        let short = ReservationId::new();
        let refused: Value = app.reserve(short, &[(product, 9)]).await.json().await.unwrap();
        assert_eq!(app.adjust(product, 20, "receipt", "main").await.status(), 200);
        let still: Value = app.reserve(short, &[(product, 9)]).await.json().await.unwrap();
        assert_eq!(still["lines"], refused["lines"]);
        assert_eq!(app.kinds(short).await, ["InventoryRejected"]);
    });
}

#[test]
fn the_same_id_sent_twenty_times_at_once_holds_once() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(50).await;
        let id = ReservationId::new();
        let answers = join_all((0..20).map(async |_| app.reserve(id, &[(product, 2)]).await)).await;
        assert!(answers.iter().all(|answer| answer.status() == 201));
        assert_eq!(app.levels(product).await, (50, 2));
        app.assert_sound().await;
    });
}

#[test]
fn released_twice_is_given_back_once() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(5).await;
        let id = ReservationId::new();
        assert_eq!(app.reserve(id, &[(product, 5)]).await.status(), 201);
        let answers = join_all((0..10).map(|_| app.release(id))).await;
        assert!(answers.iter().all(|answer| answer.status() == 200));
        assert_eq!(app.levels(product).await, (5, 0));
        assert_eq!(app.kinds(id).await, ["InventoryReserved", "InventoryReleased"]);
        let late = app.reserve(id, &[(product, 5)]).await;
        assert_eq!(late.status(), 409, "it has ended");
        assert_eq!(app.reserve(ReservationId::new(), &[(product, 5)]).await.status(), 201);
        app.assert_sound().await;
    });
}

#[test]
fn released_before_it_was_made_holds_nothing() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(5).await;
        let id = ReservationId::new();
        assert_eq!(app.release(id).await.status(), 200);
        assert_eq!(app.reserve(id, &[(product, 5)]).await.status(), 409);
        assert_eq!(app.levels(product).await, (5, 0));
    });
}

#[test]
fn an_abandoned_reservation_is_given_back_once_when_its_time_has_run_out() {
    run(async {
        let app = TestApp::start().await;
        let _replica = app.replica().await;
        let product = app.product(5).await;
        let id = ReservationId::new();
        let mut body = wish(id, &[(product, 5)]);
        body["ttl_seconds"] = json!(1);
        let held: Value = app.post("/v1/inventory/reserve", &body).await.json().await.unwrap();
        assert!(held["expires_at"].is_string());
        app.until_levels(product, 5, 0).await;
        assert_eq!(app.kinds(id).await, ["InventoryReserved", "InventoryReleased"]);
        let ended = app.release(id).await;
        assert_eq!(ended.status(), 200);
        assert_eq!(ended.json::<Value>().await.unwrap()["state"], "expired");
        app.assert_sound().await;
    });
}

/// A replica's clock may be wrong by minutes. What ends a reservation is the database's, so that one begins it, too.
#[test]
fn a_reservation_lasts_as_long_by_the_clock_that_ends_it() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(10).await;
        // As seen from a replica that is ten minutes behind. What comes first on the path is found before PostgreSQL's own.
        for statement in [
            "create function now() returns timestamptz language sql stable as
                 $$ select pg_catalog.now() + interval '10 minutes' $$",
            "do $$ begin
                 execute format('alter database %I set search_path = public, pg_catalog', current_database());
             end $$",
        ] {
            sqlx::query(statement).execute(&app.pool).await.unwrap();
        }
        let replica = app.replica().await;
        let mut body = wish(ReservationId::new(), &[(product, 1)]);
        body["ttl_seconds"] = json!(60);
        let url = format!("http://{}/v1/inventory/reserve", replica.addr());
        let held = app.http.post(url).bearer_auth(&app.admin).json(&body).send().await.unwrap();
        let held: Value = held.json().await.unwrap();
        let ends: Timestamp = held["expires_at"].as_str().unwrap().parse().unwrap();
        let away = ends.duration_since(Timestamp::now()).as_secs();
        assert!((10 * 60..=11 * 60).contains(&away), "{away} s");
    });
}

#[test]
fn a_panic_of_a_stock_actor_loses_nothing_and_holds_nothing() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(100).await;
        // As often as it may fall without being quarantined.
        for round in 0..4 {
            let fault = json!({"kind": "panic", "actor": "stock", "entity": product, "times": 1});
            assert_eq!(app.post("/v1/ops/faults", &fault).await.status(), 201);
            let ids: Vec<_> = (0..20).map(|_| ReservationId::new()).collect();
            eventually(|| async {
                let answers =
                    join_all(ids.iter().map(async |id| app.reserve(*id, &[(product, 1)]).await)).await;
                answers.iter().all(|answer| answer.status() == 201).then_some(())
            })
            .await;
            assert_eq!(app.levels(product).await, (100, (round + 1) * 20));
        }
        app.assert_sound().await;
    });
}
