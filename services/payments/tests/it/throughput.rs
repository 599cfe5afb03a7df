//! Many at once. Run with `--nocapture` to see how fast; nothing is asserted about time.

use std::time::Instant;

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;
use viscount_chassis::testing::{eventually, run};

use crate::app::TestApp;

const ORDERS: usize = 500;

#[test]
fn many_charges_at_once_are_all_made() {
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
fn many_orders_at_once_are_all_paid_and_the_books_agree() {
    run(async {
        let app = TestApp::start().await;
        let started = Instant::now();
        let orders = join_all((0..ORDERS).map(|_| app.validated(100, "tok_visa"))).await;
        println!("published after {:?}", started.elapsed());
        app.all_consumed().await;
        // On a busy machine some answers come late and are asked for again: these are done when no call is open.
        eventually(|| async { (app.open_calls().await == 0).then_some(()) }).await;
        println!(
            "payments: {:.0} orders/s, everything included",
            ORDERS as f64 / started.elapsed().as_secs_f64()
        );
        for order in orders {
            assert_eq!(app.payment_is(order, "captured").await["status"], "captured");
        }
        app.books_agree().await;
    });
}
