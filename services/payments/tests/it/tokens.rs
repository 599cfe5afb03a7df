//! Every test token, from the event that asks for money to the event that tells what came of it.

use std::time::Duration;

use futures_util::future::join_all;
use viscount_chassis::testing::run;

use crate::app::{Setup, TestApp};

#[test]
fn a_good_card_is_charged_once() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(4_200, "tok_visa").await;
        let payment = app.payment_is(order, "captured").await;
        assert_eq!(payment["captured"]["amount"], 4_200);
        assert_eq!(payment["captures"][0]["state"], "succeeded");
        assert_eq!(payment["authorisations"][0]["amount"]["currency"], "GBP");
        assert_eq!(payment["customer_id"], order.customer.to_string());
        assert_eq!(app.events(order).await, ["PaymentProcessed"]);
        let charges = app.bank_charges(order).await;
        assert_eq!(charges.len(), 1);
        assert_eq!(charges[0]["id"], payment["captures"][0]["provider_reference"]);
        assert_eq!(charges[0]["idempotency_key"], order.id.to_string());
        app.books_agree().await;
    });
}

#[test]
fn a_refused_card_is_a_failed_payment_and_no_dead_letter() {
    run(async {
        let app = TestApp::start().await;
        for (token, code) in [
            ("tok_chargeDeclined", "card_declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_nobody_made_this", "invalid_token"),
        ] {
            let order = app.validated(100, token).await;
            let payment = app.payment_is(order, "failed").await;
            assert_eq!(payment["authorisations"][0]["failure"]["code"], code);
            assert_eq!(payment["captured"]["amount"], 0);
            assert_eq!(app.events(order).await, ["PaymentFailed"]);
        }
        app.books_agree().await;
        app.no_dead_letters().await;
    });
}

#[test]
fn a_charge_whose_answer_never_comes_is_found_by_its_key() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_timeout").await;
        app.payment_is(order, "captured").await;
        assert_eq!(app.events(order).await, ["PaymentProcessed"], "found while it was still waited for");
        assert_eq!(app.bank_charges(order).await.len(), 1);
        app.books_agree().await;
    });
}

#[test]
fn a_flaky_provider_is_asked_again_under_the_same_key() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(100, "tok_flaky").await;
        app.payment_is(order, "captured").await;
        assert_eq!(app.events(order).await, ["PaymentProcessed"]);
        assert_eq!(app.bank_charges(order).await.len(), 1);
        app.books_agree().await;
    });
}

#[test]
fn a_slow_provider_is_waited_for() {
    run(async {
        let app = TestApp::with(Setup { timeout: Duration::from_secs(3), ..Setup::default() }).await;
        let order = app.validated(100, "tok_slow").await;
        app.payment_is(order, "captured").await;
        assert_eq!(app.events(order).await, ["PaymentProcessed"]);
        assert_eq!(app.bank_charges(order).await.len(), 1);
    });
}

#[test]
fn an_order_without_a_price_fails_without_asking_the_provider() {
    run(async {
        let app = TestApp::start().await;
        let order = app.validated(0, "tok_visa").await;
        app.payment_is(order, "failed").await;
        assert!(app.bank_charges(order).await.is_empty());
    });
}

#[test]
fn one_slow_order_does_not_hold_up_the_others() {
    run(async {
        let app = TestApp::with(Setup { timeout: Duration::from_secs(3), ..Setup::default() }).await;
        let slow = app.validated(100, "tok_slow").await;
        let quick = join_all((0..30).map(|_| app.validated(100, "tok_visa"))).await;
        for order in quick {
            app.payment_is(order, "captured").await;
        }
        assert!(app.payment(slow).await.is_none(), "the slow one is still on its way");
        app.payment_is(slow, "captured").await;
        app.books_agree().await;
    });
}

#[test]
fn an_event_that_comes_again_has_its_effect_once() {
    run(async {
        let app = TestApp::start().await;
        let order = app.order(100);
        let event = app.publish_validated(order, "tok_visa", 2).await;
        for version in 3..6 {
            app.redeliver(event.clone(), version).await;
        }
        // The same wish in an event of its own changes nothing either.
        app.publish_validated(order, "tok_visa", 6).await;
        app.all_consumed().await;
        assert_eq!(app.events(order).await, ["PaymentProcessed"]);
        assert_eq!(app.bank_charges(order).await.len(), 1);
        app.books_agree().await;
        app.no_dead_letters().await;
    });
}
