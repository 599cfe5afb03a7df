//! Instances come, renew their lease, and go.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use viscount_chassis::testing::{eventually, run};

use crate::app::{TestApp, instance, with};

#[test]
fn an_instance_comes_stays_and_leaves() {
    run(async {
        let app = TestApp::start().await;
        let id = Uuid::now_v7();
        let came = app.register(instance(id, "orders")).await.is(201);
        assert_eq!(came.json["instance_id"], json!(id));
        assert_eq!((&came.json["lease_seconds"], &came.json["health"]), (&json!(15), &json!("unknown")));
        assert_eq!(app.show(id).await.is(200).json["metadata"], json!({ "zone": "a" }));

        // The same again is a heartbeat: a longer life, and nothing to tell.
        let again = app.register(instance(id, "orders")).await.is(200);
        assert_eq!(again.json["registered_at"], came.json["registered_at"]);
        assert!(again.json["expires_at"].as_str() > came.json["expires_at"].as_str());
        let renewed = app.heartbeat(id).await.is(200);
        assert!(renewed.json["expires_at"].as_str() > again.json["expires_at"].as_str());

        // It moves: told anew.
        let moved = with(instance(id, "orders"), json!({ "address": "127.0.0.1:10" }));
        assert_eq!(app.register(moved).await.is(200).json["address"], "127.0.0.1:10");
        app.register(instance(id, "payments")).await.refused_as(409, "instance-of-another-service");

        app.leave(id).await.is(204);
        app.leave(id).await.is(404);
        app.show(id).await.is(404);
        app.heartbeat(id).await.is(404);
        app.health(id).await.is(404);
        assert!(app.get("/v1/services").await.is(200).items().is_empty());

        // And it comes back: its story goes on.
        app.register(instance(id, "orders")).await.is(201);
        let events = app.events(4).await;
        let told: Vec<_> = events
            .iter()
            .filter(|(event, _)| &*event.kind != "ServiceHealthChanged")
            .map(|(event, json)| (&*event.kind, json["address"].as_str().unwrap(), json["reason"].as_str()))
            .collect();
        let wanted = [
            ("ServiceRegistered", "127.0.0.1:9", None),
            ("ServiceRegistered", "127.0.0.1:10", None),
            ("ServiceDeregistered", "127.0.0.1:10", Some("left")),
            ("ServiceRegistered", "127.0.0.1:9", None),
        ];
        assert_eq!(told, wanted);
        let versions: Vec<_> = events.iter().map(|(event, _)| event.version).collect();
        assert_eq!(versions, (1..).take(versions.len()).collect::<Vec<_>>());
        assert!(events.iter().all(|(event, _)| event.key == id));
    });
}

#[test]
fn a_lease_that_is_not_renewed_ends_at_either_replica_once() {
    run(async {
        let app = TestApp::start().await;
        let other = app.replica().await;
        let (short, long) = (Uuid::now_v7(), Uuid::now_v7());
        app.register(with(instance(short, "orders"), json!({ "lease_seconds": 5 }))).await.is(201);
        app.register(with(instance(long, "orders"), json!({ "lease_seconds": 300 }))).await.is(201);
        assert_eq!(other.get("/v1/services?service=orders").await.items().len(), 2);

        // Five seconds are long for a test: the lease was given earlier.
        let sooner =
            "update instances set expires_at = now() - interval '1 millisecond' where instance_id = $1";
        sqlx::query(sooner).bind(short).execute(app.pool()).await.unwrap();
        eventually(|| async { (app.show(short).await.status == 404).then_some(()) }).await;
        other.heartbeat(short).await.is(404);
        eventually(|| async {
            let left = other.get("/v1/services?service=orders").await;
            (left.items().len() == 1).then_some(())
        })
        .await;
        let rest = other.get("/v1/services?service=orders").await.is(200);
        assert_eq!(rest.items().iter().map(|item| &item["instance_id"]).collect::<Vec<_>>(), [&json!(long)]);

        let ends = "select count(*) from events where stream = $1 and kind = 'ServiceDeregistered'";
        let ended: i64 = eventually(|| async {
            let count: i64 = sqlx::query_scalar(ends).bind(short).fetch_one(app.pool()).await.unwrap();
            (count > 0).then_some(count)
        })
        .await;
        assert_eq!(ended, 1);
        // Registered again, whoever had ended it.
        other.register(instance(short, "orders")).await.is(201);
    });
}

#[test]
fn a_lease_that_was_found_expired_cannot_be_renewed_but_taken_anew() {
    run(async {
        let app = TestApp::start().await;
        let id = Uuid::now_v7();
        app.register(instance(id, "orders")).await.is(201);
        // As a replica leaves it that dies between finding it and telling of it; no other sweeps meanwhile.
        let mut hold = app.pool().begin().await.unwrap();
        sqlx::query("update instances set expired = true where instance_id = $1")
            .bind(id)
            .execute(&mut *hold)
            .await
            .unwrap();
        let heartbeat = app.heartbeat(id);
        let committed = async { hold.commit().await.unwrap() };
        let (refused, ()) = tokio::join!(heartbeat, committed);
        assert_eq!(refused.status, 404);
        app.register(instance(id, "orders")).await.is(201);

        let kinds =
            "select kind from events where stream = $1 and kind <> 'ServiceHealthChanged' order by version";
        let kinds: Vec<String> = sqlx::query_scalar(kinds).bind(id).fetch_all(app.pool()).await.unwrap();
        assert_eq!(kinds, ["ServiceRegistered", "ServiceDeregistered", "ServiceRegistered"]);
        app.show(id).await.is(200);
    });
}

#[test]
fn a_time_in_which_nobody_could_renew_is_not_held_against_anyone() {
    run(async {
        let app = TestApp::start().await;
        let id = Uuid::now_v7();
        app.register(instance(id, "orders")).await.is(201);
        // The database, or all of coordination, was away for a minute.
        let mut away = app.pool().begin().await.unwrap();
        for lost in [
            "update lease_watch set looked_at = now() - interval '1 minute'",
            "update instances set expires_at = now() - interval '45 seconds'",
        ] {
            sqlx::query(lost).execute(&mut *away).await.unwrap();
        }
        away.commit().await.unwrap();
        let good = "select expires_at > now() + interval '10 seconds' from instances where instance_id = $1";
        eventually(|| async {
            let good: Option<bool> =
                sqlx::query_scalar(good).bind(id).fetch_optional(app.pool()).await.unwrap();
            good.expect("still registered").then_some(())
        })
        .await;
        app.heartbeat(id).await.is(200);
        assert_eq!(app.get("/v1/services").await.items().len(), 1);
    });
}

#[test]
fn a_list_waits_for_news_from_any_replica() {
    run(async {
        let app = TestApp::start().await;
        let other = app.replica().await;
        let nothing = app.get("/v1/services?service=orders").await.is(200);
        let known = nothing.etag().to_owned();
        app.news("/v1/services?service=orders", &known, 0).await.is(304);
        app.news("/v1/services?service=orders", "\"something else\"", 30).await.is(200);

        // Renewing is no news: the wait ends with the time.
        let id = Uuid::now_v7();
        let came = other.register(instance(id, "orders"));
        let (news, _) = tokio::join!(app.news("/v1/services?service=orders", &known, 30), came);
        let news = news.is(200);
        assert_eq!(news.items()[0]["instance_id"], json!(id));
        assert_ne!(news.etag(), known);

        // Until its health is known it is new each time; then it stays as it is.
        let settled = eventually(|| async {
            let now = app.get("/v1/services?service=orders").await;
            (now.items()[0]["health"] == "unhealthy").then_some(now)
        })
        .await;
        let (still, _) =
            tokio::join!(app.news("/v1/services?service=orders", settled.etag(), 1), other.heartbeat(id));
        still.is(304);
        let waiting = app.news("/v1/services?service=orders", settled.etag(), 30);
        let (gone, _) = tokio::join!(waiting, other.leave(id));
        assert!(gone.is(200).items().is_empty());
    });
}

#[test]
fn pages_go_through_all_instances_in_order() {
    run(async {
        let app = TestApp::start().await;
        let mut ids: Vec<_> = (0..7).map(|_| Uuid::now_v7()).collect();
        for (index, id) in ids.iter().enumerate() {
            app.register(instance(*id, if index % 2 == 0 { "orders" } else { "catalog" })).await.is(201);
        }
        let mut seen = Vec::new();
        let mut path = "/v1/services?limit=2".to_owned();
        loop {
            let page = app.get(&path).await.is(200);
            seen.extend(
                page.items()
                    .iter()
                    .map(|item| item["instance_id"].as_str().unwrap().parse::<Uuid>().unwrap()),
            );
            match page.json["next_cursor"].as_str() {
                Some(cursor) => path = format!("/v1/services?limit=2&cursor={cursor}"),
                None => break,
            }
        }
        ids.sort();
        assert_eq!(seen.len(), 7);
        seen.sort();
        assert_eq!(seen, ids);
        assert_eq!(app.get("/v1/services?health=healthy").await.is(200).items().len(), 0);
    });
}

#[test]
fn what_was_accepted_survives_the_replica() {
    run(async {
        let app = TestApp::start().await;
        let id = Uuid::now_v7();
        app.register(instance(id, "orders")).await.is(201);
        app.configure("orders", ("if-none-match", "*"), json!({ "log_filter": "warn" })).await.is(200);
        let lock = app.lock("nightly", "a", 300, 0).await.is(201);
        let other = app.replica().await;
        app.running.supervisor.stop(Duration::ZERO).await.ok();
        app.running.http.stop(Duration::ZERO).await;

        other.heartbeat(id).await.is(200);
        assert_eq!(other.get("/v1/config/orders").await.json["settings"], json!({ "log_filter": "warn" }));
        other.lock("nightly", "b", 300, 0).await.is(409);
        other.keep("nightly", lock.token(), 60).await.is(200);
    });
}
