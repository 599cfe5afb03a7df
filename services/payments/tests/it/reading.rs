//! Who may see what.

use serde_json::Value;
use viscount_chassis::{auth::Role, testing::run};
use viscount_contracts::{OrderId, UserId};

use crate::app::TestApp;

#[test]
fn a_payment_is_seen_by_its_owner_and_by_an_administrator_alone() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "captured").await;
        let owner = app.bed.token(Role::Customer, order.customer);
        let stranger = app.bed.token(Role::Customer, UserId::new());
        let admin = app.bed.token(Role::Admin, UserId::new());
        for path in [format!("/v1/payments?order_id={}", order.id), format!("/v1/payments/{}", order.id)] {
            assert_eq!(app.get(&path, &owner).send().await.unwrap().status(), 200);
            assert_eq!(app.get(&path, &admin).send().await.unwrap().status(), 200);
            assert_eq!(app.get(&path, &stranger).send().await.unwrap().status(), 404);
            let nobody = app.client().get(app.url(&path)).send().await.unwrap();
            assert_eq!(nobody.status(), 401);
        }
    });
}

#[test]
fn a_question_that_makes_no_sense_is_the_callers_fault() {
    run(async {
        let app = TestApp::start().await;
        let token = app.bed.token(Role::Customer, UserId::new());
        let unknown = format!("/v1/payments?order_id={}", OrderId::new());
        for (path, status) in [
            ("/v1/payments", 400),
            ("/v1/payments?order_id=1", 400),
            ("/v1/payments?orderid=1", 400),
            (unknown.as_str(), 404),
            ("/v1/payments/not-an-id", 404),
        ] {
            let response = app.get(path, &token).send().await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            let problem: Value = response.json().await.unwrap();
            assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{problem}");
        }
    });
}

#[test]
fn the_document_names_every_route() {
    run(async {
        let app = TestApp::start().await;
        let document: Value =
            app.client().get(app.url("/openapi.json")).send().await.unwrap().json().await.unwrap();
        for path in ["/v1/payments", "/v1/payments/{id}", "/v1/payments/webhooks/{provider}"] {
            assert!(document["paths"][path].is_object(), "{path}");
        }
    });
}

#[test]
fn the_database_refuses_what_the_core_would_never_do() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "captured").await;
        for wrong in [
            "update payments set refunded = captured + 1",
            "insert into ledger values (gen_random_uuid(), 'sales', gen_random_uuid(), 5, 'GBP', now())",
            "update ledger set amount = amount + 1",
            "delete from ledger",
        ] {
            let refused = sqlx::query(wrong).execute(app.pool()).await.unwrap_err();
            assert!(refused.as_database_error().unwrap().is_check_violation(), "{wrong}: {refused}");
        }
        app.books_agree().await;
    });
}
