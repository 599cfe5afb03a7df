//! One key, one order.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use viscount_chassis::testing::run;
use viscount_contracts::UserId;

use crate::app::TestApp;

#[test]
fn the_same_key_a_hundred_times_at_once_makes_one_order() {
    run(async {
        let app = TestApp::start().await;
        app.order(1).await;
        let body = app.basket(2);
        let answers = join_all((0..100).map(|_| app.create_as(app.buyer, "once", &body))).await;
        let mut bodies = HashSet::new();
        for answer in answers {
            match answer.status() {
                StatusCode::CREATED => drop(bodies.insert(answer.text().await.unwrap())),
                StatusCode::CONFLICT => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!(bodies.len(), 1);
        let replay = app.create_as(app.buyer, "once", &body).await;
        assert_eq!(replay.headers()["Idempotent-Replayed"], "true");
        assert!(replay.headers().contains_key("Location"));
        assert!(bodies.contains(&replay.text().await.unwrap()));
        let list: Value = app.get("/v1/orders").await.json().await.unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
    });
}

/// A collision must not return somebody else's order, nor an answer to another request.
#[test]
fn a_key_belongs_to_its_buyer_and_its_request() {
    run(async {
        let app = TestApp::start().await;
        app.order(1).await;
        let first: Value = app.create_as(app.buyer, "k", &app.basket(1)).await.json().await.unwrap();
        let other: Value = app.create_as(UserId::new(), "k", &app.basket(1)).await.json().await.unwrap();
        assert_ne!(first["id"], other["id"]);
        let changed = app.create_as(app.buyer, "k", &app.basket(2)).await;
        assert_eq!(changed.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: Value = changed.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/idempotency-key-reused");
    });
}

/// A refused request leaves nothing behind: corrected, it may come with the same key.
#[test]
fn a_refused_request_does_not_use_up_its_key() {
    run(async {
        let app = TestApp::start().await;
        app.order(1).await;
        let mut wrong = app.basket(1);
        wrong["payment"]["method"] = "barter".into();
        assert_eq!(app.create_as(app.buyer, "k", &wrong).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(app.create_as(app.buyer, "k", &app.basket(1)).await.status(), StatusCode::CREATED);
    });
}

/// A retry is decided again by a process that does not know the key, in a world where the product is no longer sold
/// and all the money is on its way back. The buyer still gets the first answer, not a refusal.
#[test]
fn a_key_survives_a_restart_whatever_has_become_of_the_world() {
    run(async {
        let app = TestApp::start().await;
        let path = format!("/v1/orders/{}/refund", app.completed(1).await);
        let (basket, all) = (app.basket(2), json!({"reason": "late"}));
        let created = app.create_as(app.buyer, "c", &basket).await.text().await.unwrap();
        let refunded = app.post(&path, &app.token(app.buyer), "r", &all).await.text().await.unwrap();
        app.withdraw(app.tea).await;
        let app = app.restarted().await;
        let again = app.create_as(app.buyer, "c", &basket).await;
        assert_eq!(
            (again.status(), &again.headers()["Idempotent-Replayed"]),
            (StatusCode::CREATED, &"true".parse().unwrap())
        );
        assert_eq!(again.text().await.unwrap(), created);
        let again = app.post(&path, &app.token(app.buyer), "r", &all).await;
        assert_eq!((again.status(), again.text().await.unwrap()), (StatusCode::OK, refunded));
        // Another request with the key is told so, not why it could not be done.
        let other = app.create_as(app.buyer, "c", &app.basket(3)).await;
        assert_eq!(other.json::<Value>().await.unwrap()["type"], "/problems/idempotency-key-reused");
    });
}
