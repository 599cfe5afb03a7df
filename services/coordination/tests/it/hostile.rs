//! What cannot be used is refused with words that help, and changes nothing.

use serde_json::{Value, json};
use uuid::Uuid;
use viscount_chassis::{auth::Role, testing::run};
use viscount_contracts::UserId;

use crate::app::{TestApp, instance, with};

#[test]
fn only_staff_may_ask_and_only_admins_may_configure() {
    run(async {
        let app = TestApp::start().await;
        let id = Uuid::now_v7();
        let routes = [
            ("POST", "/v1/services/register".to_owned(), instance(id, "orders")),
            ("GET", "/v1/services".to_owned(), Value::Null),
            ("GET", format!("/v1/services/{id}"), Value::Null),
            ("GET", format!("/v1/services/{id}/health"), Value::Null),
            ("POST", format!("/v1/services/{id}/heartbeat"), Value::Null),
            ("DELETE", format!("/v1/services/{id}"), Value::Null),
            ("GET", "/v1/config/orders".to_owned(), Value::Null),
            ("GET", "/v1/config/orders/history".to_owned(), Value::Null),
            ("PUT", "/v1/config/orders".to_owned(), json!({ "settings": {} })),
            ("GET", "/v1/locks/nightly".to_owned(), Value::Null),
            ("POST", "/v1/locks/nightly".to_owned(), json!({ "owner": "a", "ttl_seconds": 5 })),
            ("PUT", "/v1/locks/nightly".to_owned(), json!({ "token": 1, "ttl_seconds": 5 })),
            ("DELETE", "/v1/locks/nightly?token=1".to_owned(), Value::Null),
        ];
        let customer = app.bed.token(Role::Customer, UserId::new());
        let service = app.bed.token(Role::Service, UserId::new());
        for (method, path, body) in &routes {
            let with_body =
                || if body.is_null() { app.plain(method, path) } else { app.plain(method, path).json(body) };
            app.send(with_body()).await.is(401);
            app.send(with_body().bearer_auth(&customer)).await.is(403);
            let asked = app.send(with_body().header("if-none-match", "*").bearer_auth(&service)).await;
            let allowed = *method != "PUT" || !path.contains("config");
            assert_eq!(asked.status != 403 && asked.status != 401, allowed, "{method} {path} {asked:?}");
        }
    });
}

#[test]
fn a_registration_that_cannot_be_is_refused_and_every_fault_named() {
    run(async {
        let app = TestApp::start().await;
        let good = instance(Uuid::now_v7(), "orders");
        let bad = json!({
            "service": "Orders!",
            "address": "http://orders:8084",
            "version": "",
            "lease_seconds": 301,
            "metadata": { "": "x" },
        });
        let refused = app.register(with(good.clone(), bad)).await.refused_as(422, "unprocessable");
        assert_eq!(refused.pointers(), ["/service", "/address", "/version", "/lease_seconds", "/metadata"]);
        app.register(with(good.clone(), json!({ "service": "all" }))).await.is(422);
        for (member, value) in [
            ("instance_id", json!("7")),
            ("lease_seconds", json!(4)),
            ("lease_seconds", json!(1e300)),
            ("address", json!("orders:0")),
            ("surprise", json!(1)),
            ("metadata", json!({ "a": "x".repeat(257) })),
            ("version", json!("a\u{0}b")),
        ] {
            app.register(with(good.clone(), json!({ member: value }))).await.is(422);
        }
        assert!(app.get("/v1/services").await.items().is_empty());
        for path in
            ["/v1/services?wait=31", "/v1/services?health=well", "/v1/services?service=A", "/v1/services?x=1"]
        {
            app.news(path, "\"x\"", 1).await.is(400);
        }
        app.get("/v1/services/7").await.is(404);
        app.send(app.request("PATCH", "/v1/services")).await.is(405);
    });
}

#[test]
fn there_is_an_end_to_instances() {
    run(async {
        let app = TestApp::start().await;
        let many = "insert into instances (instance_id, version, service, address, build, metadata, lease_seconds,
                registered_at, expires_at, health_since, probe_at)
            select gen_random_uuid(), 1, 'orders', 'h:1', '1', '{}', 300, now(), now() + interval '1 hour', now(),
                now() + interval '1 hour'
            from generate_series(1, 1000)";
        sqlx::query(many).execute(app.pool()).await.unwrap();
        app.register(instance(Uuid::now_v7(), "orders")).await.refused_as(422, "too-many-instances");
    });
}

#[test]
fn settings_that_cannot_be_are_refused_and_every_fault_named() {
    run(async {
        let app = TestApp::start().await;
        let settings =
            json!({ "log_filter": "a=b=c", "limits": {}, "colour": "blue", "faults": [{ "kind": "flood" }] });
        let refused =
            app.configure("orders", ("if-none-match", "*"), settings).await.refused_as(422, "unprocessable");
        let mut pointers = refused.pointers();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            ["/settings/colour", "/settings/faults/0", "/settings/limits", "/settings/log_filter"]
        );
        app.configure("orders", ("if-none-match", "\"3\""), json!({})).await.is(400);
        app.configure("orders", ("if-match", "three"), json!({})).await.is(400);
        app.configure("orders", ("x-nothing", "1"), json!({})).await.is(428);
        app.configure("Orders", ("if-none-match", "*"), json!({})).await.is(400);
        let request = app.request("PUT", "/v1/config/orders").header("if-none-match", "*");
        app.send(request.json(&json!({ "log_filter": "info" }))).await.is(422);
        assert_eq!(app.get("/v1/config/orders").await.json["version"], 0);
        app.get("/v1/config/orders?wait=thirty").await.is(400);
    });
}

#[test]
fn a_lock_that_cannot_be_is_refused() {
    run(async {
        let app = TestApp::start().await;
        let refused = app
            .post("/v1/locks/a", json!({ "owner": "", "ttl_seconds": 0, "wait_seconds": 31 }))
            .await
            .is(422);
        assert_eq!(refused.pointers(), ["/owner", "/ttl_seconds", "/wait_seconds"]);
        app.post("/v1/locks/a", json!({ "owner": "a" })).await.is(422);
        app.post("/v1/locks/a%20b", json!({ "owner": "a", "ttl_seconds": 5 })).await.is(400);
        app.post(&format!("/v1/locks/{}", "x".repeat(129)), json!({ "owner": "a", "ttl_seconds": 5 }))
            .await
            .is(400);
        app.send(app.request("DELETE", "/v1/locks/a")).await.is(400);
        app.send(app.request("DELETE", "/v1/locks/a?token=x")).await.is(400);
        app.keep("a", 1, 301).await.is(422);
        app.get("/v1/locks/a").await.is(404);

        let many = "insert into locks (name, token, owner, acquired_at, expires_at)
            select 'lock-' || n, 1, null, now(), now() from generate_series(1, 10000) as n";
        sqlx::query(many).execute(app.pool()).await.unwrap();
        app.lock("one-more", "a", 5, 0).await.refused_as(422, "too-many-locks");
        app.lock("lock-1", "a", 5, 0).await.is(201);
    });
}
