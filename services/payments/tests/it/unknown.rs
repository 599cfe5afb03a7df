//! Outcomes that nobody knows: neither failure nor success, asked again until they are known.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::RefundId;

use crate::app::{Setup, TestApp};

#[test]
fn a_provider_that_is_down_delays_payments_and_fails_none() {
    run(async {
        let mut app = TestApp::start().await;
        app.stop_bank().await;
        let orders = join_all((0..40).map(|_| app.validated(100, "tok_visa"))).await;
        for order in &orders {
            app.payment_is(*order, "pending").await;
        }
        app.all_consumed().await;
        assert_eq!(
            app.open_calls().await,
            40,
            "each has its durable deadline, and the consumer has moved on"
        );
        app.start_bank().await;
        for order in &orders {
            app.payment_is(*order, "captured").await;
            assert_eq!(app.events(*order).await, ["PaymentPending", "PaymentProcessed"]);
            assert_eq!(app.bank_charges(*order).await.len(), 1);
        }
        assert_eq!(app.open_calls().await, 0);
        app.books_agree().await;
        app.no_dead_letters().await;
    });
}

#[test]
fn a_charge_that_was_made_but_not_told_is_not_made_again() {
    run(async {
        let app = TestApp::with(Setup { timeout: Duration::from_secs(3), ..Setup::default() }).await;
        app.faults(json!({ "lose_answer": 1.0 })).await;
        let order = app.validated(100, "tok_visa").await;
        eventually(|| async { (app.bank_charges(order).await.len() == 1).then_some(()) }).await;
        app.faults(json!({ "down": true })).await;
        app.payment_is(order, "pending").await;
        app.faults(json!({})).await;
        app.payment_is(order, "captured").await;
        assert_eq!(app.bank_charges(order).await.len(), 1);
        app.books_agree().await;
    });
}

#[test]
fn a_pending_payment_survives_its_service() {
    run(async {
        let mut app = TestApp::start().await;
        app.faults(json!({ "down": true })).await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "pending").await;
        app.restart_payments().await;
        app.payment_is(order, "pending").await;
        app.faults(json!({})).await;
        app.payment_is(order, "captured").await;
        assert_eq!(app.bank_charges(order).await.len(), 1);
        app.books_agree().await;
    });
}

#[test]
fn a_refund_whose_outcome_is_unknown_is_asked_again() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "captured").await;
        app.faults(json!({ "down": true })).await;
        let refund = RefundId::new();
        app.publish_refund(order, refund, 60, 4).await;
        app.refund_is(order, refund, "pending").await;
        app.faults(json!({})).await;
        app.refund_is(order, refund, "succeeded").await;
        assert_eq!(app.events(order).await, ["PaymentProcessed", "PaymentRefundPending", "PaymentRefunded"]);
        app.books_agree().await;
    });
}

#[test]
fn a_provider_that_fails_now_and_then_costs_nothing_twice() {
    run(async {
        let app = TestApp::start().await;
        app.faults(json!({ "fail_before": 0.3, "lose_answer": 0.2 })).await;
        let orders = join_all((0..40).map(|_| app.validated(100, "tok_visa"))).await;
        for order in &orders {
            app.payment_is(*order, "captured").await;
        }
        let refunds = join_all(orders.iter().map(|order| {
            let (app, refund) = (&app, RefundId::new());
            async move {
                app.publish_refund(*order, refund, 30, 4).await;
                (*order, refund)
            }
        }))
        .await;
        for (order, refund) in refunds {
            app.refund_is(order, refund, "succeeded").await;
        }
        app.books_agree().await;
        app.no_dead_letters().await;
    });
}
