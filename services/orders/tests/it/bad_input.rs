//! Whatever comes in: the right 4xx, never a 5xx, nothing half done.

use reqwest::StatusCode;
use serde_json::{Value, json};
use viscount_chassis::testing::run;

use crate::app::TestApp;

#[test]
fn bad_orders_are_refused_with_pointers_and_leave_nothing_behind() {
    run(async {
        let app = TestApp::start().await;
        app.order(1).await;
        let card = json!({"method": "card", "token": "tok_visa"});
        let line = |quantity: Value| json!({"product_id": app.tea, "quantity": quantity});
        let lines = |lines: Value| json!({"lines": lines, "payment": card});
        let ghost = uuid::Uuid::now_v7();
        let cases = [
            (lines(json!([])), "/lines"),
            (lines(json!([line(json!(0))])), "/lines/0/quantity"),
            (lines(json!([line(json!(-1))])), "/lines/0/quantity"),
            (lines(json!([line(json!(1.5))])), "/lines/0/quantity"),
            (lines(json!([line(json!(u64::MAX))])), "/lines/0/quantity"),
            (lines(json!([line(json!("2"))])), "/lines/0/quantity"),
            (lines(json!([line(json!(1_000_000)), line(json!(1))])), "/lines/1/quantity"),
            (lines(json!([line(json!(1)), {"product_id": ghost, "quantity": 1}])), "/lines/1/product_id"),
            (lines(json!([{"product_id": "tea", "quantity": 1}])), "/lines/0/product_id"),
            (lines(json!([{"product_id": app.tea, "quantity": 1, "price": 1}])), "/lines/0/price"),
            (lines(json!(vec![line(json!(1)); 1_001])), "/lines"),
            (json!({"lines": [line(json!(1))]}), "/payment"),
            (
                json!({"lines": [line(json!(1))], "payment": {"method": "card", "token": "ключ"}}),
                "/payment/token",
            ),
            (
                json!({"lines": [line(json!(1))], "payment": {"method": "card", "token": "a\u{0}b"}}),
                "/payment/token",
            ),
        ];
        for (index, (body, pointer)) in cases.into_iter().enumerate() {
            let response = app.create_as(app.buyer, &format!("k{index}"), &body).await;
            assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
        let ten_thousand = lines(json!(vec![line(json!(1)); 10_000]));
        let response = app.create_as(app.buyer, "k", &ten_thousand).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let list: Value = app.get("/v1/orders").await.json().await.unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn what_is_missing_or_malformed_is_told() {
    run(async {
        let app = TestApp::start().await;
        let token = app.token(app.buyer);
        let post = || app.http.post(app.url("/v1/orders")).bearer_auth(&token);
        let status = |response: reqwest::Result<reqwest::Response>| response.unwrap().status().as_u16();
        assert_eq!(status(post().json(&app.basket(1)).send().await), 400, "no key");
        assert_eq!(status(post().header("Idempotency-Key", "k").body("{}").send().await), 415);
        let json = || post().header("Idempotency-Key", "k").header("Content-Type", "application/json");
        assert_eq!(status(json().body("{\"lines\": [").send().await), 400, "broken json");
        assert_eq!(status(app.http.post(app.url("/v1/orders")).json(&app.basket(1)).send().await), 401);
        assert_eq!(app.get("/v1/orders/not-a-uuid").await.status(), 404);
        assert_eq!(app.get("/v1/orders?limit=0").await.status(), 400);
        assert_eq!(app.get("/v1/orders?statsu=paid").await.status(), 400);
        assert_eq!(app.get("/v1/orders?cursor=%00").await.status(), 400);
        assert_eq!(app.http.delete(app.url("/v1/orders")).send().await.unwrap().status(), 405);
    });
}
