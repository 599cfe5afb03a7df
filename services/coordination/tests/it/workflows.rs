//! The view of workflows, from other services' topics into the table and out over HTTP.

use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{
    auth::Role,
    config::Env,
    testing::{eventually, run},
};
use viscount_contracts::{
    Topic, UserId,
    events::{
        common::v1::Money,
        inventory::v1::{InventoryReserved, InventoryUpdated},
        orders::v1::{
            OrderCompleted, OrderCreated, OrderPaymentProcessed, OrderRefundRequested, OrderRefunded,
            OrderValidated,
        },
        payments::v1::PaymentProcessed,
    },
};
use viscount_coordination::Config;

use crate::app::TestApp;

fn money(amount: i64) -> Option<Money> {
    Some(Money { amount, currency: "GBP".into() })
}

fn kinds(workflow: &Value) -> Vec<String> {
    let timeline = workflow["timeline"].as_array().unwrap();
    timeline
        .iter()
        .map(|it| format!("{} {}", it["service"].as_str().unwrap(), it["type"].as_str().unwrap()))
        .collect()
}

impl TestApp {
    /// The workflow, once it has had so many events.
    async fn workflow(&self, order: Uuid, events: usize) -> Value {
        eventually(|| async {
            let answer = self.get(&format!("/v1/workflows/{order}")).await;
            (answer.json["events"] == events).then_some(answer.json)
        })
        .await
    }

    async fn listed(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("/v1/workflows{query}")).await.is(200);
        page.items().iter().map(|it| it["order_id"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn what_services_say_of_an_order_comes_together_once() {
    run(async {
        let app = TestApp::start().await;
        let (orders, inventory, payments) = (
            app.bed.topic(Topic::Orders).await,
            app.bed.topic(Topic::Inventory).await,
            app.bed.topic(Topic::Payments).await,
        );
        // Ids in the order of time, as orders makes them.
        let (done, waiting, back) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        for order in [done, waiting, back] {
            let reserved = InventoryReserved { order_id: order.to_string(), ..Default::default() };
            inventory.publish(order, 1, &reserved).await;
            orders.publish(order, 1, &OrderCreated::default()).await;
        }
        inventory.publish(Uuid::now_v7(), 1, &InventoryUpdated::default()).await;
        inventory.publish(Uuid::now_v7(), 1, &InventoryReserved::default()).await;
        assert_eq!(app.workflow(waiting, 2).await["waits_for"], "stock_answer", "orders has not heard of it");
        for order in [done, back] {
            orders.publish(order, 2, &OrderValidated::default()).await;
            payments.publish(order, 1, &PaymentProcessed::default()).await;
            orders.publish(order, 3, &OrderPaymentProcessed::default()).await;
            orders.publish(order, 4, &OrderCompleted { total: money(500), ..Default::default() }).await;
        }
        orders.publish(back, 5, &OrderRefundRequested::default()).await;
        let view = app.workflow(back, 7).await;
        assert_eq!((&view["state"], &view["waits_for"]), (&json!("running"), &json!("refund")));
        assert_eq!(
            app.listed("?state=running").await,
            [waiting.to_string(), back.to_string()],
            "the oldest first"
        );
        let first = app.get("/v1/workflows?state=running&limit=1").await;
        let cursor = first.json["next_cursor"].as_str().unwrap();
        assert_eq!(app.listed(&format!("?state=running&limit=1&cursor={cursor}")).await, [back.to_string()]);
        assert_eq!(app.listed("?state=finished").await, [done.to_string()]);
        assert_eq!(app.listed("?state=stuck").await, [""; 0]);

        // Everything once more, to a second one beside the first: it changes nothing.
        let before = app.workflow(done, 6).await;
        let place =
            "select coalesce(min(position), 0) from consumer_offsets where topic = 'orders.events.v1'";
        eventually(|| async {
            let saved: i64 = sqlx::query_scalar(place).fetch_one(app.pool()).await.unwrap();
            (saved == app.bed.head(Topic::Orders).await).then_some(())
        })
        .await;
        sqlx::query("update consumer_offsets set position = 0").execute(app.pool()).await.unwrap();
        let env = Env::from_pairs([("COORDINATION_PORT", "0")]);
        let config = Config::from_env(&env, app.database.url.clone()).unwrap();
        let again = viscount_coordination::start(config, app.bed.platform()).await.unwrap();
        eventually(|| async {
            let saved: i64 = sqlx::query_scalar(place).fetch_one(app.pool()).await.unwrap();
            (saved == app.bed.head(Topic::Orders).await).then_some(())
        })
        .await;
        let refunded = OrderRefunded { refunded: money(200), ..Default::default() };
        orders.publish(back, 6, &refunded).await;
        let view = app.workflow(back, 8).await;
        assert_eq!((&view["state"], &view["status"]), (&json!("finished"), &json!("partially_refunded")));
        assert_eq!(app.workflow(done, 6).await, before);
        assert_eq!(
            kinds(&before),
            [
                "inventory InventoryReserved",
                "orders OrderCreated",
                "orders OrderValidated",
                "payments PaymentProcessed",
                "orders OrderPaymentProcessed",
                "orders OrderCompleted",
            ]
        );
        let rows: i64 =
            sqlx::query_scalar("select count(*) from workflows").fetch_one(app.pool()).await.unwrap();
        assert_eq!(rows, 3, "what is not about an order has no row");
        again.drain(std::time::Duration::from_secs(5)).await;
    });
}

#[test]
fn only_administrators_look_and_bad_questions_are_told() {
    run(async {
        let app = TestApp::start().await;
        let customer = app.bed.token(Role::Customer, UserId::new());
        let nobody = Uuid::now_v7();
        for path in [
            "/v1/workflows".to_owned(),
            format!("/v1/workflows/{nobody}"),
            format!("/v1/ops/orders/{nobody}/why"),
        ] {
            app.send(app.plain("GET", &path)).await.is(401);
            app.send(app.plain("GET", &path).bearer_auth(&customer)).await.is(403);
        }
        app.send(app.plain("GET", &format!("/v1/ops/explain?key={nobody}")).bearer_auth(&customer))
            .await
            .is(403);
        app.get(&format!("/v1/workflows/{nobody}")).await.is(404);
        app.get("/v1/workflows/none").await.is(404);
        for query in ["?state=lost", "?limit=0", "?cursor=x", "?colour=red"] {
            app.get(&format!("/v1/workflows{query}")).await.is(400);
        }
        app.get("/v1/ops/explain?key=none").await.is(400);
        // Nobody has seen it, and orders, which might have, is not there.
        app.get(&format!("/v1/ops/orders/{nobody}/why")).await.is(503);
    });
}
