//! Instances are asked how they are.

use serde_json::json;
use uuid::Uuid;
use viscount_chassis::{
    http::Health,
    testing::{eventually, run},
};

use crate::app::{TestApp, instance, with};

#[test]
fn an_instance_is_healthy_while_it_says_so() {
    run(async {
        let app = TestApp::start().await;
        // Another instance of this very service is one that answers.
        let other = app.replica().await;
        let (good, dead) = (Uuid::now_v7(), Uuid::now_v7());
        let address = other.running.addr().to_string();
        app.register(with(instance(good, "coordination"), json!({ "address": address }))).await.is(201);
        app.register(instance(dead, "orders")).await.is(201);

        until(&app, good, "healthy").await;
        until(&app, dead, "unhealthy").await;
        let health = app.health(good).await.is(200);
        let checks = health.json["checks"].as_array().unwrap();
        assert!(
            checks.iter().any(|check| check["name"] == "database" && check["status"] == "ok"),
            "{checks:?}"
        );
        assert!(health.json["checked_at"].is_string() && health.json["since"].is_string());
        assert_eq!(app.health(dead).await.json["checks"], json!(null));
        let healthy = app.get("/v1/services?health=healthy").await;
        assert_eq!(
            healthy.items().iter().map(|item| &item["instance_id"]).collect::<Vec<_>>(),
            [&json!(good)]
        );

        // It drains: it answers, and not well.
        let switch: &Health = &other.running.health;
        switch.set_ready(false);
        until(&app, good, "unhealthy").await;
        switch.set_ready(true);
        until(&app, good, "healthy").await;

        let told = "select kind from events where stream = $1 order by version";
        let told: Vec<String> = sqlx::query_scalar(told).bind(good).fetch_all(app.pool()).await.unwrap();
        let changed = "ServiceHealthChanged";
        assert_eq!(told, ["ServiceRegistered", changed, changed, changed]);
    });
}

async fn until(app: &TestApp, id: Uuid, wanted: &str) {
    eventually(|| async { (app.health(id).await.json["health"] == wanted).then_some(()) }).await;
}
