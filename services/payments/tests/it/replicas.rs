//! Two instances on one database, both reading every event: every effect once.

use std::time::Duration;

use futures_util::future::join_all;
use viscount_chassis::testing::run;
use viscount_contracts::RefundId;

use crate::app::TestApp;

#[test]
fn two_instances_charge_each_order_once() {
    run(async {
        let app = TestApp::start().await;
        let second = app.second_instance().await;
        let orders = join_all((0..60).map(|_| app.validated(100, "tok_visa"))).await;
        join_all(orders.iter().map(|order| app.publish_refund(*order, RefundId::new(), 40, 4))).await;
        for order in &orders {
            app.payment_is(*order, "partially_refunded").await;
            assert_eq!(app.bank_charges(*order).await.len(), 1);
        }
        second.drain(Duration::from_secs(10)).await;
        app.books_agree().await;
        app.no_dead_letters().await;
    });
}
