//! Two replicas on one database: each has orders in memory, and neither hears of what the other one does with them.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::{PaymentId, Topic, events::payments::v1::PaymentProcessed};

use crate::app::{TestApp, money};

/// What follows from old news may be nothing, and nothing is never in conflict: it has to be looked at once more.
#[test]
fn money_that_comes_back_is_known_also_where_the_request_for_it_is_not() {
    run(async {
        let app = TestApp::start().await;
        let beside = app.bed.beside();
        let payments = beside.topic(Topic::Payments).await;
        let other = viscount_orders::start(app.config.clone(), beside.platform()).await.unwrap();

        // This replica remembers the order as validated.
        let id = app.order(1).await;
        app.reserved(id).await;
        app.until_status(id, "validated").await;

        // The other one hears of the payment, and is asked for a refund.
        let processed = PaymentProcessed {
            payment_id: PaymentId::new().to_string(),
            order_id: id.to_string(),
            amount: money(2_100),
            provider_reference: "ch_1".into(),
            ..Default::default()
        };
        payments.publish(id, 1, &processed).await;
        app.until_status(id, "completed").await;
        let url = format!("http://{}/v1/orders/{id}/refund", other.addr());
        let refund =
            || app.http.post(&url).bearer_auth(app.token(app.buyer)).header("Idempotency-Key", "back");
        let asked = refund().json(&json!({"reason": "late"})).send().await.unwrap();
        assert_eq!(asked.status(), StatusCode::OK);
        let events: Value = app.get(&format!("/v1/orders/{id}/events")).await.json().await.unwrap();
        let wanted =
            events["items"].as_array().unwrap().iter().find_map(|event| event["data"]["refund_id"].as_str());

        // This one hears that the money is back.
        app.money_back(id, 2, wanted.unwrap(), 2_100).await;
        eventually(|| async { (app.show(id).await["refunded"]["amount"] == 2_100).then_some(()) }).await;
        assert_eq!(app.show(id).await["status"], "refunded");
        other.drain(Duration::from_secs(10)).await;
    });
}
