//! What the provider tells by itself.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::RefundId;
use viscount_payments::provider::signature::{Secret, sign};

use crate::app::{Setup, TestApp};

async fn webhooks_known(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from webhook_events").fetch_one(app.pool()).await.unwrap()
}

#[test]
fn a_webhook_that_comes_twice_settles_once() {
    run(async {
        let app = TestApp::start().await;
        let order = app.order(100);
        let webhook = app.charge_succeeded(order, "evt_1");
        for _ in 0..3 {
            assert_eq!(app.webhook(&webhook).await, 200);
        }
        assert_eq!(app.webhook(&app.charge_succeeded(order, "evt_2")).await, 200);
        assert_eq!(app.events(order).await, ["PaymentProcessed"]);
        assert_eq!(webhooks_known(&app).await, 2);
        let payment = app.payment(order).await.unwrap();
        assert_eq!(payment["captured"]["amount"], 100);
        assert_eq!(payment["customer_id"], order.customer.to_string());
    });
}

#[test]
fn many_copies_at_once_settle_once() {
    run(async {
        let app = TestApp::start().await;
        let order = app.order(100);
        let webhook = app.charge_succeeded(order, "evt_1");
        let answers = futures_util::future::join_all((0..20).map(|_| app.webhook(&webhook))).await;
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
        assert_eq!(app.events(order).await, ["PaymentProcessed"]);
        assert_eq!(webhooks_known(&app).await, 1);
    });
}

#[test]
fn a_webhook_before_the_own_answer_settles_the_payment() {
    run(async {
        // Nothing but the webhook can end this wait before the test gives up.
        let app = TestApp::with(Setup { timeout: Duration::from_secs(9), ..Setup::default() }).await;
        app.faults(json!({ "latency_ms": 30_000 })).await;
        let order = app.validated(100, "tok_visa").await;
        eventually(|| async {
            let asked = app
                .get("/v1/ops/actors", &app.bed.token(viscount_chassis::auth::Role::Admin, order.customer));
            let tree: Value = asked.send().await.unwrap().json().await.unwrap();
            tree.to_string().contains("\"live\":1").then_some(())
        })
        .await;
        assert_eq!(app.webhook(&app.charge_succeeded(order, "evt_1")).await, 200);
        let payment = app.payment(order).await.expect("settled by the time the webhook is answered");
        assert_eq!(payment["status"], "captured");
        app.all_consumed().await;
        assert_eq!(app.events(order).await, ["PaymentProcessed"]);
    });
}

#[test]
fn a_forged_or_stale_webhook_is_not_believed() {
    run(async {
        let app = TestApp::start().await;
        let order = app.order(100);
        let webhook = app.charge_succeeded(order, "evt_1");
        let body = webhook.to_string();
        let now = Timestamp::now();
        let ours = Secret::new("whsec_test");
        let old = now - SignedDuration::from_secs(301);
        let ahead = now + SignedDuration::from_secs(330);
        for signature in [
            sign(&Secret::new("somebody else"), now, body.as_bytes()),
            sign(&ours, now, b"another body"),
            sign(&ours, old, body.as_bytes()),
            sign(&ours, ahead, body.as_bytes()),
            "t=1,v1=00".to_owned(),
            "nonsense".to_owned(),
        ] {
            assert_eq!(app.webhook_signed(&webhook, &signature).await, 400, "{signature}");
        }
        let unsigned = app.client().post(app.url("/v1/payments/webhooks/simulator")).body(body.clone());
        assert_eq!(unsigned.send().await.unwrap().status(), 400);
        let unknown = app.client().post(app.url("/v1/payments/webhooks/paypal")).body(body);
        assert_eq!(unknown.send().await.unwrap().status(), 404);
        assert!(app.payment(order).await.is_none());
        assert_eq!(webhooks_known(&app).await, 0);
    });
}

#[test]
fn what_means_nothing_here_is_taken_and_what_is_no_event_is_refused() {
    run(async {
        let app = TestApp::start().await;
        let order = app.order(100);
        let mut others = app.charge_succeeded(order, "evt_others");
        others["data"]["object"]["metadata"] = json!({});
        let undecided =
            json!({ "id": "evt_x", "type": "customer.created", "created": 1, "data": { "object": {} } });
        for webhook in [others, undecided] {
            assert_eq!(app.webhook(&webhook).await, 200);
        }
        for webhook in [
            json!([]),
            json!({ "id": "evt" }),
            json!({ "id": "a\u{0}b", "type": "x", "created": 1, "data": { "object": {} } }),
        ] {
            assert_eq!(app.webhook(&webhook).await, 400, "{webhook}");
        }
        assert!(app.payment(order).await.is_none());
    });
}

#[test]
fn the_simulator_tells_of_charges_and_refunds() {
    run(async {
        let app = TestApp::with(Setup { webhooks: true, ..Setup::default() }).await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "captured").await;
        app.publish_refund(order, RefundId::new(), 40, 4).await;
        app.payment_is(order, "partially_refunded").await;
        let declined = app.validated(100, "tok_chargeDeclined").await;
        app.payment_is(declined, "failed").await;
        eventually(|| async { (webhooks_known(&app).await == 3).then_some(()) }).await;
        assert_eq!(app.events(order).await, ["PaymentProcessed", "PaymentRefunded"]);
        assert_eq!(app.events(declined).await, ["PaymentFailed"]);
        let bank = app.bank.as_ref().unwrap().database.pool().clone();
        eventually(|| async {
            let left: i64 =
                sqlx::query_scalar("select count(*) from deliveries").fetch_one(&bank).await.unwrap();
            (left == 0).then_some(())
        })
        .await;
        app.books_agree().await;
    });
}
