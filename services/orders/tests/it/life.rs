//! The order's life, step by step.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::{OrderId, Topic, UserId};

use crate::app::TestApp;

#[test]
fn stock_then_payment_completes_an_order() {
    run(async {
        let app = TestApp::start().await;
        let id = app.completed(2).await;
        let order = app.show(id).await;
        assert_eq!(order["total"], json!({"amount": 4_200, "currency": "GBP"}));
        assert_eq!(order["lines"][0]["quantity"], 2);
        let kinds = ["OrderCreated", "OrderValidated", "OrderPaymentProcessed", "OrderCompleted"];
        let expected: Vec<_> = (1..).zip(kinds.map(str::to_owned)).collect();
        assert_eq!(app.history(id).await, expected);
    });
}

#[test]
fn an_order_without_stock_is_rejected_with_its_short_lines() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(3).await;
        app.short(id).await;
        let order = app.until_status(id, "rejected").await;
        assert_eq!(order["reason"]["code"], "insufficient_stock");
        assert_eq!(order["reason"]["lines"][0]["available"], 1);
    });
}

#[test]
fn a_declined_payment_rejects_the_order() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        app.reserved(id).await;
        app.until_status(id, "validated").await;
        app.declined(id).await;
        assert_eq!(app.until_status(id, "rejected").await["reason"]["code"], "payment_declined");
    });
}

/// Two topics race: the payment is read before the reservation. It is kept, never retried at the head of the line.
#[test]
fn a_payment_that_is_read_before_the_reservation_completes_the_order_all_the_same() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        app.paid(id, 2_100).await;
        eventually(|| async { (app.history(id).await.len() == 2).then_some(()) }).await;
        app.reserved(id).await;
        app.until_status(id, "completed").await;
    });
}

#[test]
fn a_cancelled_order_that_is_paid_afterwards_gives_the_money_back_once() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let path = format!("/v1/orders/{id}/cancel");
        for _ in 0..2 {
            let cancelled =
                app.post(&path, &app.token(app.buyer), "-", &json!({"reason": "changed my mind"})).await;
            assert_eq!(cancelled.status(), StatusCode::OK);
        }
        app.paid(id, 2_100).await;
        eventually(|| async { (app.history(id).await.len() == 4).then_some(()) }).await;
        app.money_back(id, 2, &id.to_string(), 2_100).await;
        let refunded = eventually(|| async {
            let order = app.show(id).await;
            (order["refunded"]["amount"] == 2_100).then_some(order)
        })
        .await;
        assert_eq!(refunded["status"], "cancelled");
    });
}

#[test]
fn a_completed_order_cannot_be_cancelled_any_more() {
    run(async {
        let app = TestApp::start().await;
        let id = app.completed(1).await;
        let response =
            app.post(&format!("/v1/orders/{id}/cancel"), &app.token(app.buyer), "-", &json!({})).await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(
            (&problem["type"], &problem["order_status"]),
            (&json!("/problems/order-state"), &json!("completed"))
        );
    });
}

#[test]
fn part_refunds_add_up_and_never_exceed_what_was_captured() {
    run(async {
        let app = TestApp::start().await;
        let id = app.completed(1).await;
        let path = format!("/v1/orders/{id}/refund");
        let refund = |key: &'static str, amount: i64| {
            let (app, path) = (&app, path.clone());
            async move {
                let body = json!({"amount": {"amount": amount, "currency": "GBP"}, "reason": "late"});
                app.post(&path, &app.token(app.buyer), key, &body).await
            }
        };
        // Two equal partial refunds are both legitimate; the same key again is the same refund.
        for (key, status) in [("a", 200), ("a", 200), ("b", 200)] {
            assert_eq!(refund(key, 1_000).await.status(), status);
        }
        assert_eq!(refund("c", 101).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refund("d", 0).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let body: Value = app.get(&format!("/v1/orders/{id}/events")).await.json().await.unwrap();
        let ids: Vec<_> = body["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["type"] == "OrderRefundRequested")
            .map(|event| event["data"]["refund_id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), 2);
        app.money_back(id, 2, &ids[0], 1_000).await;
        app.until_status(id, "partially_refunded").await;
        app.money_back(id, 3, &ids[1], 1_000).await;
        eventually(|| async { (app.show(id).await["refunded"]["amount"] == 2_000).then_some(()) }).await;
    });
}

/// A timeout that somebody does emit: nobody has to touch the order.
#[test]
fn an_order_that_waits_too_long_cancels_itself() {
    run(async {
        let app = TestApp::start_with([("ORDERS_STOCK_DEADLINE", "50ms")]).await;
        let id = app.order(1).await;
        assert_eq!(app.until_status(id, "cancelled").await["reason"]["code"], "deadline");
    });
}

/// The one look that was promised finds the order waiting for something else, and is put off until that is due.
#[test]
fn a_payment_that_never_comes_is_waited_for_as_long_as_configured() {
    run(async {
        let deadlines = [("ORDERS_STOCK_DEADLINE", "4s"), ("ORDERS_PAYMENT_DEADLINE", "5s")];
        let app = TestApp::start_with(deadlines).await;
        let id = app.order(1).await;
        app.reserved(id).await;
        let validated: Timestamp =
            app.until_status(id, "validated").await["updated_at"].as_str().unwrap().parse().unwrap();
        let cancelled = app.until_status(id, "cancelled").await;
        let at: Timestamp = cancelled["updated_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(cancelled["reason"]["code"], "deadline");
        assert!(at.duration_since(validated).as_secs_f64() >= 5.0, "{validated} {at}");
    });
}

/// What an order's last change says of its time was said by a replica, whose clock may be wrong by ten minutes. Its wait is
/// counted by the database's.
#[test]
fn a_replica_whose_clock_is_wrong_ends_no_wait_too_early_or_too_late() {
    run(async {
        let app = TestApp::start_with([("ORDERS_STOCK_DEADLINE", "2s")]).await;
        let ahead = app.order(1).await;
        clock_was_wrong(&app, ahead, "10 minutes").await;
        assert_eq!(app.until_status(ahead, "cancelled").await["reason"]["code"], "deadline");

        let app = TestApp::start_with([("ORDERS_STOCK_DEADLINE", "300s")]).await;
        let behind = app.order(1).await;
        clock_was_wrong(&app, behind, "-10 minutes").await;
        // It is looked at now, and the look is put off to the end of the wait.
        let pool = app.running.database.pool();
        sqlx::query("update order_deadlines set look_at = now()").execute(pool).await.unwrap();
        eventually(|| async {
            let query =
                "select count(*) = 1 from order_deadlines where look_at > now() + interval '4 minutes'";
            sqlx::query_scalar::<_, bool>(query).fetch_one(pool).await.unwrap().then_some(())
        })
        .await;
        assert_eq!(app.show(behind).await["status"], "created");
    });
}

async fn clock_was_wrong(app: &TestApp, order: OrderId, by: &str) {
    sqlx::query("update orders set updated_at = updated_at + $2::interval where id = $1")
        .bind(order.uuid())
        .bind(by)
        .execute(app.running.database.pool())
        .await
        .unwrap();
}

/// The first look may find the order waiting for stock and be put off far beyond a shorter wait for payment.
#[test]
fn a_wait_for_payment_that_ends_before_that_for_stock_has_a_look_of_its_own() {
    run(async {
        let deadlines = [("ORDERS_STOCK_DEADLINE", "600s"), ("ORDERS_PAYMENT_DEADLINE", "60s")];
        let app = TestApp::start_with(deadlines).await;
        let id = app.order(1).await;
        app.reserved(id).await;
        app.until_status(id, "validated").await;
        let looks: i64 = sqlx::query_scalar("select count(*) from order_deadlines where order_id = $1")
            .bind(id.uuid())
            .fetch_one(app.running.database.pool())
            .await
            .unwrap();
        assert_eq!(looks, 2);
    });
}

#[test]
fn an_order_that_is_settled_is_forgotten_by_memory_and_by_the_deadlines() {
    run(async {
        let app = TestApp::start_with([("ORDERS_STOCK_DEADLINE", "4s")]).await;
        let id = app.completed(1).await;
        eventually(|| async {
            let tree = app.http.get(app.url("/v1/ops/actors")).bearer_auth(app.admin()).send().await.unwrap();
            (!tree.text().await.unwrap().contains(&id.to_string())).then_some(())
        })
        .await;
        let pool = app.running.database.pool();
        eventually(|| async {
            let left: i64 =
                sqlx::query_scalar("select count(*) from order_deadlines").fetch_one(pool).await.unwrap();
            (left == 0).then_some(())
        })
        .await;
        assert_eq!(app.show(id).await["status"], "completed");
    });
}

#[test]
fn an_order_of_somebody_else_does_not_exist() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let other = app.token(UserId::new());
        for path in ["", "/events", "/stream"] {
            let url = app.url(&format!("/v1/orders/{id}{path}"));
            let response = app.http.get(url).bearer_auth(&other).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
        for path in ["cancel", "refund", "stream-ticket"] {
            let response =
                app.post(&format!("/v1/orders/{id}/{path}"), &other, "k", &json!({"reason": ""})).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let list = app.http.get(app.url("/v1/orders")).bearer_auth(&other).send().await.unwrap();
        assert_eq!(list.json::<Value>().await.unwrap()["items"], json!([]));
        let admin =
            app.http.get(app.url(&format!("/v1/orders/{id}"))).bearer_auth(app.admin()).send().await.unwrap();
        assert_eq!(admin.status(), StatusCode::OK);
    });
}

#[test]
fn lists_are_paged_newest_first() {
    run(async {
        let app = TestApp::start().await;
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(app.order(1).await.to_string());
        }
        let mut seen = Vec::new();
        let mut path = "/v1/orders?limit=2&status=created".to_owned();
        loop {
            let page: Value = app.get(&path).await.json().await.unwrap();
            seen.extend(
                page["items"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()),
            );
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/v1/orders?limit=2&status=created&cursor={cursor}"),
                None => break,
            }
        }
        ids.reverse();
        assert_eq!(seen, ids);
    });
}

/// A panic in one order's actor: that order goes on from the store, its neighbours never notice.
#[test]
fn a_panic_in_one_order_leaves_the_others_untouched_and_is_visible() {
    run(async {
        let app = TestApp::start().await;
        let (struck, neighbour) = (app.order(1).await, app.order(1).await);
        let fault = json!({"kind": "panic", "actor": "order", "entity": struck, "times": 1});
        let strike =
            |token: String| app.http.post(app.url("/v1/ops/faults")).bearer_auth(token).json(&fault).send();
        assert_eq!(strike(app.token(app.buyer)).await.unwrap().status(), StatusCode::FORBIDDEN);
        assert_eq!(strike(app.admin()).await.unwrap().status(), StatusCode::CREATED);
        for id in [neighbour, struck] {
            app.reserved(id).await;
            app.until_status(id, "validated").await;
        }
        let metrics = app.http.get(app.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let restarts =
            metrics.lines().find(|line| line.starts_with("actor_restarts_total{") && line.contains("order"));
        assert!(restarts.is_some(), "{metrics}");
        let tree = app.http.get(app.url("/v1/ops/actors")).bearer_auth(app.admin()).send().await.unwrap();
        assert!(tree.text().await.unwrap().contains(&struck.to_string()));
        let exits = app.url(&format!("/v1/ops/actors/exits?path=orders/order&id={struck}"));
        let exits = app.http.get(exits).bearer_auth(app.admin()).send().await.unwrap();
        let exits: Value = exits.json().await.unwrap();
        assert_eq!(exits["items"][0]["message_kind"], "confirm_stock", "{exits}");
    });
}

#[test]
fn prefer_wait_answers_the_final_order() {
    run(async {
        let app = TestApp::start().await;
        app.order(1).await;
        let create = app
            .http
            .post(app.url("/v1/orders"))
            .bearer_auth(app.token(app.buyer))
            .header("Idempotency-Key", Uuid::now_v7().to_string())
            .header("Prefer", "wait=5")
            .json(&app.basket(9))
            .send();
        let answer = async {
            // The newest order is the one that is waited for.
            let id = eventually(|| async {
                let page: Value = app.get("/v1/orders?limit=1").await.json().await.unwrap();
                let newest = &page["items"][0];
                (newest["lines"][0]["quantity"] == 9).then(|| newest["id"].as_str().unwrap().parse().unwrap())
            })
            .await;
            app.short(id).await;
        };
        let (created, ()) = tokio::join!(create, answer);
        let order: Value = created.unwrap().json().await.unwrap();
        assert_eq!(order["status"], "rejected");
    });
}

/// Tried for ever, it would hold up the events behind it, and nobody would hear of it.
#[test]
fn an_event_whose_effect_the_database_refuses_becomes_a_dead_letter() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let pool = sqlx::PgPool::connect(&app.config.database.url).await.unwrap();
        sqlx::query("alter table orders add constraint unwanted check (status <> 'validated')")
            .execute(&pool)
            .await
            .unwrap();
        app.reserved(id).await;
        let error: String = eventually(|| async {
            let letter = sqlx::query_scalar("select error from dead_letters where key = $1").bind(id.uuid());
            letter.fetch_optional(&pool).await.unwrap()
        })
        .await;
        assert!(error.contains("unwanted"), "{error}");
    });
}

/// A refusal commits nothing that could conflict: a replica whose memory is old news has to look before it says no.
#[test]
fn an_order_that_has_gone_on_at_another_replica_is_not_refused_by_old_news() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        // What inventory and payments say comes to the other replica alone.
        let other = app.bed.beside();
        let (inventory, payments) = (other.topic(Topic::Inventory).await, other.topic(Topic::Payments).await);
        let replica = viscount_orders::start(app.config.clone(), other.platform()).await.unwrap();
        let told = TestApp { inventory, payments, ..app };
        told.reserved(id).await;
        told.until_status(id, "validated").await;
        told.paid(id, 2_100).await;
        told.until_status(id, "completed").await;
        let refund = json!({"amount": {"amount": 100, "currency": "GBP"}, "reason": "a scratch"});
        let answer =
            told.post(&format!("/v1/orders/{id}/refund"), &told.token(told.buyer), "refund", &refund).await;
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        replica.drain(std::time::Duration::from_secs(5)).await;
    });
}
