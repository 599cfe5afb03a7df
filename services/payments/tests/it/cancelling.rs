//! Orders that are cancelled around their charge.

use std::time::Duration;

use serde_json::json;
use viscount_chassis::testing::{eventually, run};
use viscount_contracts::RefundId;

use crate::app::{Order, Setup, TestApp};

#[test]
fn an_order_cancelled_before_its_charge_is_never_charged() {
    run(async {
        let mut app = TestApp::start().await;
        let order = app.order(100);
        app.publish_cancelled(order, 2).await;
        app.all_consumed().await;
        assert_eq!(app.events(order).await, ["PaymentVoided"]);
        // The tombstone holds, also for an incarnation that was not there.
        app.restart_payments().await;
        app.publish_validated(order, "tok_visa", 3).await;
        app.all_consumed().await;
        assert_eq!(app.payment(order).await.unwrap()["status"], "voided");
        assert!(app.bank_charges(order).await.is_empty());
    });
}

/// As orders do it for an order that is charged when it has ended.
fn own_refund(order: Order) -> RefundId {
    RefundId::from(order.id.uuid())
}

#[test]
fn a_cancellation_after_the_charge_leaves_the_money_to_a_refund() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_visa").await;
        app.publish_cancelled(order, 3).await;
        app.all_consumed().await;
        assert_eq!(app.payment(order).await.unwrap()["status"], "captured");
        app.publish_refund(order, own_refund(order), 100, 4).await;
        app.payment_is(order, "refunded").await;
        app.books_agree().await;
    });
}

#[test]
fn a_pending_charge_that_the_provider_never_saw_ends_with_its_order() {
    run(async {
        let app = TestApp::with(Setup { cancel_quiet: Duration::from_millis(500), ..Setup::default() }).await;
        app.faults(json!({ "down": true })).await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "pending").await;
        app.publish_cancelled(order, 3).await;
        app.all_consumed().await;
        app.faults(json!({})).await;
        app.payment_is(order, "voided").await;
        assert!(app.bank_charges(order).await.is_empty(), "not charged after it was cancelled");
        assert_eq!(app.events(order).await, ["PaymentPending", "PaymentCancelNoted", "PaymentVoided"]);
        assert_eq!(app.open_calls().await, 0);
    });
}

#[test]
fn a_pending_charge_that_was_made_is_found_although_its_order_is_cancelled() {
    run(async {
        let setup = Setup {
            timeout: Duration::from_secs(3),
            cancel_quiet: Duration::from_millis(500),
            ..Setup::default()
        };
        let app = TestApp::with(setup).await;
        app.faults(json!({ "lose_answer": 1.0 })).await;
        let order = app.validated(100, "tok_visa").await;
        eventually(|| async { (app.bank_charges(order).await.len() == 1).then_some(()) }).await;
        app.faults(json!({ "down": true })).await;
        app.payment_is(order, "pending").await;
        app.publish_cancelled(order, 3).await;
        app.all_consumed().await;
        app.faults(json!({})).await;
        app.payment_is(order, "captured").await;
        assert_eq!(app.events(order).await, ["PaymentPending", "PaymentCancelNoted", "PaymentProcessed"]);
        app.publish_refund(order, own_refund(order), 100, 4).await;
        app.payment_is(order, "refunded").await;
        app.books_agree().await;
    });
}
