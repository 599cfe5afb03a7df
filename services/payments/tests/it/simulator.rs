//! The simulated provider keeps its own promises.

use futures_util::future::join_all;
use serde_json::{Value, json};
use viscount_chassis::testing::run;

use crate::app::TestApp;

async fn charge(app: &TestApp, key: &str, body: Value) -> (u16, Value) {
    post(app, "/v1/charges", key, body).await
}

async fn post(app: &TestApp, path: &str, key: &str, body: Value) -> (u16, Value) {
    let request = app.client().post(app.bank_url(path)).header("Idempotency-Key", key).json(&body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn visa(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "GBP", "source": "tok_visa", "metadata": { "order_id": "x" } })
}

#[test]
fn one_key_is_one_charge_however_often_and_however_fast_it_is_sent() {
    run(async {
        let mut app = TestApp::start().await;
        let answers = join_all((0..50).map(|_| charge(&app, "key", visa(5)))).await;
        let first = answers[0].1["id"].clone();
        assert!(
            answers.iter().all(|(status, charge)| *status == 200 && charge["id"] == first),
            "{answers:?}"
        );
        assert_eq!(app.bank_ledger().await.len(), 1);
        let (status, refused) = charge(&app, "key", visa(6)).await;
        assert_eq!((status, &refused["error"]["type"]), (400, &json!("idempotency_error")));
        // What it has done it remembers.
        app.stop_bank().await;
        app.start_bank().await;
        assert_eq!(charge(&app, "key", visa(5)).await.1["id"], first);
    });
}

#[test]
fn a_declined_card_is_declined_again_under_its_key() {
    run(async {
        let app = TestApp::start().await;
        let body = json!({ "amount": 5, "currency": "GBP", "source": "tok_insufficient_funds" });
        for _ in 0..2 {
            let (status, refused) = charge(&app, "key", body.clone()).await;
            assert_eq!(status, 402);
            assert_eq!(refused["error"]["decline_code"], "insufficient_funds");
        }
        let found = app.client().get(app.bank_url("/v1/charges?idempotency_key=key")).send().await.unwrap();
        assert_eq!(found.json::<Value>().await.unwrap()["data"][0]["status"], "failed");
    });
}

#[test]
fn refunds_never_exceed_the_charge_whoever_asks_at_the_same_time() {
    run(async {
        let app = TestApp::start().await;
        let (_, made) = charge(&app, "key", visa(100)).await;
        let id = made["id"].clone();
        let refund = |key: String| {
            let (app, body) = (&app, json!({ "charge": id, "amount": 30 }));
            async move { post(app, "/v1/refunds", &key, body).await }
        };
        let answers = join_all((0..20).map(|n| refund(format!("r{}", n % 10)))).await;
        let done: std::collections::BTreeSet<String> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .map(|(_, refund)| refund["id"].to_string())
            .collect();
        assert_eq!(done.len(), 3);
        let refused = answers.iter().find(|(status, _)| *status != 200).unwrap();
        assert_eq!(refused.1["error"]["code"], "amount_too_large");
        let missing = post(&app, "/v1/refunds", "r", json!({ "charge": "ch_0", "amount": 1 })).await;
        assert_eq!(missing.0, 404);
    });
}

/// Providers keep one space of keys for all that they do.
#[test]
fn a_key_that_a_charge_has_is_no_refunds() {
    run(async {
        let app = TestApp::start().await;
        let (_, made) = charge(&app, "key", visa(100)).await;
        let body = json!({ "charge": made["id"], "amount": 30 });
        let (status, refused) = post(&app, "/v1/refunds", "key", body.clone()).await;
        assert_eq!((status, refused["error"]["type"].as_str()), (400, Some("idempotency_error")));
        assert_eq!(post(&app, "/v1/refunds", "refund-key", body).await.0, 200);
    });
}

#[test]
fn nonsense_is_refused_in_the_providers_words() {
    run(async {
        let app = TestApp::start().await;
        for body in [
            json!({}),
            json!({ "amount": 0, "currency": "GBP", "source": "tok_visa" }),
            json!({ "amount": 1.5, "currency": "GBP", "source": "tok_visa" }),
            json!({ "amount": 1, "currency": "pounds", "source": "tok_visa" }),
            json!({ "amount": 1, "currency": "GBP", "source": "tok_unknown" }),
            json!({ "amount": 1, "currency": "GBP", "source": "tok_visa", "metadata": { "a": "\u{0}" } }),
        ] {
            let (status, refused) = charge(&app, "key", body.clone()).await;
            assert_eq!((status, &refused["error"]["type"]), (400, &json!("invalid_request_error")), "{body}");
        }
        assert!(app.bank_ledger().await.is_empty());
    });
}
