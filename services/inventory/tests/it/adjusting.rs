//! Stock changed by hand, its answers, its ledger.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::testing::run;
use viscount_contracts::{ProductId, ReservationId};

use crate::app::TestApp;

#[test]
fn what_comes_in_is_there_and_in_the_ledger() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product_at(&[("main", 10), ("annex", 4)]).await;
        let answer: Value = app.adjust(product, -3, "damage", "main").await.json().await.unwrap();
        assert_eq!(
            answer,
            json!({
                "product_id": product, "on_hand": 11, "reserved": 0, "available": 11, "version": 3,
                "locations": [
                    {"location": "annex", "on_hand": 4, "reserved": 0},
                    {"location": "main", "on_hand": 7, "reserved": 0},
                ],
            })
        );
        assert_eq!(app.stock(product).await, answer);
        let kinds: Vec<_> = app.ledger(product).await.iter().map(|line| line["kind"].clone()).collect();
        assert_eq!(kinds, ["receipt", "receipt", "damage"]);
        app.assert_sound().await;
    });
}

#[test]
fn a_product_that_was_never_here_is_not_found() {
    run(async {
        let app = TestApp::start().await;
        for path in ["", "/movements"] {
            let response = app.get(&format!("/v1/inventory/{}{path}", ProductId::new())).await;
            assert_eq!(response.status(), 404);
        }
        assert_eq!(app.get("/v1/inventory/none").await.status(), 404);
        // Refused changes leave nothing behind.
        let product = ProductId::new();
        assert_eq!(app.adjust(product, -1, "damage", "main").await.status(), 409);
        assert_eq!(app.get(&format!("/v1/inventory/{product}")).await.status(), 404);
    });
}

#[test]
fn stock_does_not_fall_below_what_is_reserved() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(10).await;
        assert_eq!(app.reserve(ReservationId::new(), &[(product, 6)]).await.status(), 201);
        let refused = app.adjust(product, -5, "damage", "main").await;
        assert_eq!(refused.status(), 409);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/below-reserved");
        assert_eq!((problem["on_hand"].as_i64(), problem["reserved"].as_i64()), (Some(10), Some(6)));
        assert_eq!(app.adjust(product, -4, "damage", "main").await.status(), 200);
        assert_eq!(app.levels(product).await, (6, 6));
        app.assert_sound().await;
    });
}

#[test]
fn a_key_has_its_effect_once_and_its_answer_stands() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(10).await;
        let body = json!({"product_id": product, "delta": 5, "reason": "receipt"});
        let first = app.adjust_with("key-1", &body).await;
        assert_eq!(first.status(), 200);
        assert!(first.headers().get("idempotent-replayed").is_none());
        let first = first.bytes().await.unwrap();
        assert_eq!(app.adjust(product, -2, "damage", "main").await.status(), 200);

        let again = app.adjust_with("key-1", &body).await;
        assert_eq!(again.status(), 200);
        assert_eq!(again.headers()["idempotent-replayed"], "true");
        assert_eq!(again.bytes().await.unwrap(), first, "byte for byte, whatever happened since");
        assert_eq!(app.levels(product).await, (13, 0));

        let other = json!({"product_id": product, "delta": 6, "reason": "receipt"});
        assert_eq!(app.adjust_with("key-1", &other).await.status(), 422);
        // Another replica does not remember the key; the database does.
        let replica = app.replica().await;
        let url = format!("http://{}/v1/inventory/adjust", replica.addr());
        let request = app.http.post(url).bearer_auth(&app.admin).header("Idempotency-Key", "key-1");
        let elsewhere = request.json(&body).send().await.unwrap();
        assert_eq!(elsewhere.headers()["idempotent-replayed"], "true");
        assert_eq!(elsewhere.bytes().await.unwrap(), first);
        // Another caller's key of the same name is another key.
        let service = app.bed.token(viscount_chassis::auth::Role::Service, viscount_contracts::UserId::new());
        let request = app.http.post(app.url("/v1/inventory/adjust")).bearer_auth(service).json(&body);
        assert_eq!(request.header("Idempotency-Key", "key-1").send().await.unwrap().status(), 200);
        assert_eq!(app.levels(product).await, (18, 0));
    });
}

#[test]
fn the_same_key_sent_twenty_times_at_once_has_its_effect_once() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(1).await;
        let body = json!({"product_id": product, "delta": 5, "reason": "receipt"});
        let answers = join_all((0..20).map(|_| app.adjust_with("one", &body))).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
        assert!(statuses.contains(&200), "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
        assert_eq!(app.levels(product).await, (6, 0));
    });
}

#[test]
fn a_refused_change_can_be_corrected_under_its_key() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(1).await;
        let key = Uuid::now_v7().to_string();
        let body = json!({"product_id": product, "delta": -2, "reason": "damage"});
        assert_eq!(app.adjust_with(&key, &body).await.status(), 409);
        let body = json!({"product_id": product, "delta": -1, "reason": "damage"});
        assert_eq!(app.adjust_with(&key, &body).await.status(), 200);
        assert_eq!(app.levels(product).await, (0, 0));
    });
}

#[test]
fn many_changes_at_once_all_count() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(1_000).await;
        let app = &app;
        let changes = (0..100).map(|number| async move {
            let delta = if number % 2 == 0 { 3 } else { -2 };
            let location = if number % 4 < 2 { "main" } else { "annex" };
            (app_adjust(app, product, delta, location).await, delta)
        });
        let done: i32 =
            join_all(changes).await.into_iter().filter(|(status, _)| *status == 200).map(|(_, d)| d).sum();
        assert_eq!(app.levels(product).await, (1_000 + i64::from(done), 0));
        app.assert_sound().await;
        // The versions of the product's events are contiguous.
        let versions: Vec<i32> = app.told(product).await.iter().map(|event| event.version).collect();
        assert_eq!(versions, (1..=versions.len() as i32).collect::<Vec<_>>());
    });
}

async fn app_adjust(app: &TestApp, product: ProductId, delta: i32, location: &str) -> u16 {
    app.adjust(product, delta, "correction", location).await.status().as_u16()
}

#[test]
fn the_ledger_is_paged_newest_first() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(1).await;
        for _ in 0..4 {
            assert_eq!(app.adjust(product, 1, "correction", "main").await.status(), 200);
        }
        let first = app.get(&format!("/v1/inventory/{product}/movements?limit=3")).await;
        assert!(first.headers()["link"].to_str().unwrap().contains("rel=\"next\""));
        let first: Value = first.json().await.unwrap();
        assert_eq!(first["items"].as_array().unwrap().len(), 3);
        assert_eq!(first["items"][0]["version"], 5);
        let next = first["next_cursor"].as_str().unwrap();
        let rest = app.get(&format!("/v1/inventory/{product}/movements?limit=3&cursor={next}")).await;
        let rest: Value = rest.json().await.unwrap();
        assert_eq!(rest["items"].as_array().unwrap().len(), 2);
        assert_eq!(rest["next_cursor"], Value::Null);
    });
}

#[test]
fn scarce_products_are_listed_scarcest_first() {
    run(async {
        let app = TestApp::start().await;
        let (few, none, many) = (app.product(3).await, app.product(2).await, app.product(50).await);
        assert_eq!(app.reserve(ReservationId::new(), &[(none, 2)]).await.status(), 201);
        let list: Value = app.get("/v1/inventory/low-stock").await.json().await.unwrap();
        let ids: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|item| item["product_id"].clone()).collect();
        assert_eq!(ids, [json!(none), json!(few)]);
        assert_eq!(list["items"][0]["available"], 0);
        let page: Value = app.get("/v1/inventory/low-stock?threshold=50&limit=2").await.json().await.unwrap();
        let next = page["next_cursor"].as_str().unwrap();
        let path = format!("/v1/inventory/low-stock?threshold=50&limit=2&cursor={next}");
        let rest: Value = app.get(&path).await.json().await.unwrap();
        assert_eq!(rest["items"][0]["product_id"], json!(many));
    });
}
