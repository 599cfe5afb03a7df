//! Money that goes back: once for each refund, never more than was taken.

use futures_util::future::join_all;
use viscount_chassis::testing::run;
use viscount_contracts::RefundId;

use crate::app::TestApp;

#[test]
fn a_refund_that_is_delivered_twice_is_done_once_and_two_equal_ones_are_two() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "captured").await;
        let (first, second) = (RefundId::new(), RefundId::new());
        let event = app.publish_refund(order, first, 40, 4).await;
        app.redeliver(event, 5).await;
        // The same wish in another event: a double click that was not caught before.
        app.publish_refund(order, first, 40, 6).await;
        app.publish_refund(order, second, 40, 7).await;
        app.refund_is(order, second, "succeeded").await;
        app.all_consumed().await;
        let payment = app.payment(order).await.unwrap();
        assert_eq!(payment["status"], "partially_refunded");
        assert_eq!(payment["refunded"]["amount"], 80);
        assert_eq!(payment["refunds"].as_array().unwrap().len(), 2);
        app.books_agree().await;
        app.no_dead_letters().await;
    });
}

#[test]
fn never_more_goes_back_than_was_taken() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_visa").await;
        app.payment_is(order, "captured").await;
        let refunds: Vec<RefundId> = (0..5).map(|_| RefundId::new()).collect();
        for (refund, version) in refunds.iter().zip(4..) {
            app.publish_refund(order, *refund, 30, version).await;
        }
        app.all_consumed().await;
        for refund in &refunds[..3] {
            app.refund_is(order, *refund, "succeeded").await;
        }
        for refund in &refunds[3..] {
            let failed = app.refund_is(order, *refund, "failed").await;
            assert_eq!(failed["failure"]["code"], "exceeds_captured");
        }
        let rest = RefundId::new();
        app.publish_refund(order, rest, 10, 10).await;
        app.refund_is(order, rest, "succeeded").await;
        assert_eq!(app.payment(order).await.unwrap()["status"], "refunded");
        app.books_agree().await;
    });
}

#[test]
fn a_refund_that_comes_before_its_payment_is_kept_and_done_later() {
    run(async {
        let app = TestApp::start().await;
        let order = app.order(100);
        let (fits, too_much) = (RefundId::new(), RefundId::new());
        app.publish_refund(order, fits, 60, 2).await;
        app.publish_refund(order, too_much, 60, 3).await;
        app.all_consumed().await;
        assert_eq!(app.payment(order).await.unwrap()["status"], "expected");
        app.publish_validated(order, "tok_visa", 4).await;
        app.refund_is(order, fits, "succeeded").await;
        app.refund_is(order, too_much, "failed").await;
        assert_eq!(
            app.events(order).await,
            [
                "PaymentRefundPending",
                "PaymentRefundPending",
                "PaymentProcessed",
                "PaymentRefundFailed",
                "PaymentRefunded"
            ]
        );
        app.books_agree().await;
    });
}

#[test]
fn a_refund_of_a_payment_that_failed_fails() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_chargeDeclined").await;
        app.payment_is(order, "failed").await;
        let refund = RefundId::new();
        app.publish_refund(order, refund, 100, 4).await;
        let failed = app.refund_is(order, refund, "failed").await;
        assert_eq!(failed["failure"]["code"], "not_captured");
        app.no_dead_letters().await;
    });
}

#[test]
fn many_refunds_of_many_orders_at_once_all_add_up() {
    run(async {
        let app = TestApp::start().await;
        let orders = join_all((0..20).map(|_| app.validated(100, "tok_visa"))).await;
        join_all(orders.iter().map(async |order| {
            for version in 4..9 {
                app.publish_refund(*order, RefundId::new(), 25, version).await;
            }
        }))
        .await;
        app.all_consumed().await;
        for order in orders {
            app.payment_is(order, "refunded").await;
        }
        app.books_agree().await;
    });
}
