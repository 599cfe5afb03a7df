//! Measurements, not tests: `cargo test -p viscount-payments --test it -- --ignored --nocapture throughput`.

use std::time::Instant;

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;
use viscount_chassis::testing::run;

use crate::app::TestApp;

const ORDERS: usize = 3_000;

#[test]
#[ignore = "a measurement"]
fn throughput_of_the_simulator() {
    run(async {
        let app = TestApp::start().await;
        let started = Instant::now();
        let charges = stream::iter(0..ORDERS).map(|n| {
            let body = json!({ "amount": 5, "currency": "GBP", "source": "tok_visa" });
            let request =
                app.client().post(app.bank_url("/v1/charges")).header("Idempotency-Key", n.to_string());
            async move { assert_eq!(request.json(&body).send().await.unwrap().status(), 200) }
        });
        charges.buffer_unordered(64).collect::<Vec<()>>().await;
        println!(
            "simulator: {:.0} charges/s, client included",
            ORDERS as f64 / started.elapsed().as_secs_f64()
        );
    });
}

#[test]
#[ignore = "a measurement"]
fn throughput_of_payments() {
    run(async {
        let app = TestApp::start().await;
        let started = Instant::now();
        let orders = join_all((0..ORDERS).map(|_| app.validated(100, "tok_visa"))).await;
        println!("published after {:?}", started.elapsed());
        app.all_consumed().await;
        println!(
            "payments: {:.0} orders/s, everything included",
            ORDERS as f64 / started.elapsed().as_secs_f64()
        );
        assert_eq!(app.events(orders[0]).await, ["PaymentProcessed"]);
        app.books_agree().await;
    });
}
