//! Bad input is a 4xx problem with a pointer, never a 5xx.

use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{auth::Role, testing::run};
use viscount_contracts::{ProductId, ReservationId, UserId};

use crate::app::{TestApp, wish};

#[test]
fn changing_stock_needs_a_role_and_reading_it_does_not() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(3).await;
        let stock = app.url(&format!("/v1/inventory/{product}"));
        assert_eq!(app.http.get(&stock).send().await.unwrap().status(), 200);

        let buyer = app.bed.token(Role::Customer, UserId::new());
        for path in [format!("/v1/inventory/{product}/movements"), "/v1/inventory/low-stock".to_owned()] {
            assert_eq!(app.http.get(app.url(&path)).send().await.unwrap().status(), 401);
            assert_eq!(app.http.get(app.url(&path)).bearer_auth(&buyer).send().await.unwrap().status(), 403);
        }
        for path in ["adjust", "reserve", "release"] {
            let url = app.url(&format!("/v1/inventory/{path}"));
            let anonymous = app.http.post(&url).json(&json!({})).send().await.unwrap();
            assert_eq!(anonymous.status(), 401, "{path}");
            assert_eq!(anonymous.headers()["www-authenticate"], "Bearer");
            let request =
                app.http.post(&url).bearer_auth(&buyer).header("Idempotency-Key", "k").json(&json!({}));
            assert_eq!(request.send().await.unwrap().status(), 403, "{path}");
        }
    });
}

#[test]
fn adjustments_are_checked_field_by_field() {
    run(async {
        let app = TestApp::start().await;
        let product = ProductId::new();
        let cases = [
            (json!({"product_id": product, "delta": 0, "reason": "receipt"}), "/delta"),
            (json!({"product_id": product, "delta": 1_000_000_001, "reason": "receipt"}), "/delta"),
            (json!({"product_id": product, "delta": 4_000_000_000_u64, "reason": "receipt"}), "/delta"),
            (json!({"product_id": product, "delta": 1.5, "reason": "receipt"}), "/delta"),
            (json!({"product_id": product, "delta": 1, "reason": "theft"}), "/reason"),
            (json!({"product_id": product, "delta": 1, "reason": "receipt", "location": "a b"}), "/location"),
            (json!({"product_id": product, "delta": 1, "reason": "receipt", "note": "x\u{0}"}), "/note"),
            (
                json!({"product_id": product, "delta": 1, "reason": "receipt", "note": "x".repeat(501)}),
                "/note",
            ),
            (json!({"product_id": "7", "delta": 1, "reason": "receipt"}), "/product_id"),
            (json!({"product_id": product, "delta": 1, "reason": "receipt", "where": "main"}), "/where"),
        ];
        for (body, pointer) in cases {
            let response = app.adjust_with(&Uuid::now_v7().to_string(), &body).await;
            assert_eq!(response.status(), 422, "{body}");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
        let without_key = json!({"product_id": product, "delta": 1, "reason": "receipt"});
        assert_eq!(app.post("/v1/inventory/adjust", &without_key).await.status(), 400);
        assert_eq!(app.adjust(product, 1_000_000_000, "receipt", "main").await.status(), 200);
        assert_eq!(app.adjust(product, 1, "receipt", "main").await.status(), 409, "more than can be counted");
    });
}

#[test]
fn reservations_are_checked() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(3).await;
        let id = ReservationId::new();
        let line = json!({"product_id": product, "quantity": 1});
        let cases = [
            json!({"reservation_id": id, "lines": []}),
            json!({"reservation_id": id, "lines": [{"product_id": product, "quantity": 0}]}),
            json!({"reservation_id": id, "lines": [{"product_id": product, "quantity": -1}]}),
            json!({"reservation_id": id, "lines": [{"product_id": product, "quantity": 1_000_001}]}),
            json!({"reservation_id": id, "lines": [
                {"product_id": product, "quantity": 1_000_000}, {"product_id": product, "quantity": 1}]}),
            json!({"reservation_id": id, "lines": [line], "ttl_seconds": 0}),
            json!({"reservation_id": id, "lines": [line], "ttl_seconds": 2_592_001}),
            json!({"reservation_id": id, "lines": [line], "ttl": 5}),
            json!({"reservation_id": "x", "lines": [line]}),
        ];
        for body in cases {
            assert_eq!(app.post("/v1/inventory/reserve", &body).await.status(), 422, "{body}");
        }
        let many: Vec<_> = (0..1_001).map(|_| (ProductId::new(), 1)).collect();
        assert_eq!(app.post("/v1/inventory/reserve", &wish(id, &many)).await.status(), 422);
        assert_eq!(app.levels(product).await, (3, 0));
    });
}

#[test]
fn queries_and_methods_are_checked() {
    run(async {
        let app = TestApp::start().await;
        let product = app.product(3).await;
        for path in [
            "/v1/inventory/low-stock?threshold=-1".to_owned(),
            "/v1/inventory/low-stock?treshold=1".to_owned(),
            "/v1/inventory/low-stock?limit=201".to_owned(),
            format!("/v1/inventory/{product}/movements?cursor=nonsense"),
        ] {
            assert_eq!(app.get(&path).await.status(), 400, "{path}");
        }
        let wrong = app.post(&format!("/v1/inventory/{product}"), &json!({})).await;
        assert_eq!(wrong.status(), 405);
        assert_eq!(wrong.headers()["allow"], "GET, HEAD");
        let document: Value = app.get("/openapi.json").await.json().await.unwrap();
        let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(paths.iter().filter(|path| path.starts_with("/v1/inventory")).count(), 6, "{paths:?}");
    });
}
