//! Settings: versions, waits, history.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use viscount_chassis::testing::run;

use crate::app::TestApp;

#[test]
fn settings_have_versions_and_a_history() {
    run(async {
        let app = TestApp::start().await;
        let nothing = app.get("/v1/config/orders").await.is(200);
        assert_eq!((nothing.etag(), &nothing.json["settings"]), ("\"0\"", &json!({})));
        app.configure("orders", ("if-match", "*"), json!({})).await.is(412);

        let first = json!({ "log_filter": "info,sqlx=warn" });
        let made = app.configure("orders", ("if-none-match", "*"), first.clone()).await.is(200);
        assert_eq!((made.etag(), &made.json["version"]), ("\"1\"", &json!(1)));
        app.configure("orders", ("if-none-match", "*"), first.clone()).await.is(412);
        app.configure("orders", ("if-match", "\"0\""), first.clone()).await.is(412);

        let second = json!({ "log_filter": "debug" });
        let replaced = app.configure("orders", ("if-match", "\"1\""), second.clone()).await.is(200);
        assert_eq!(replaced.etag(), "\"2\"");
        app.configure("orders", ("if-match", "*"), json!({})).await.is(200);
        assert_eq!(app.get("/v1/config/orders").await.json["settings"], json!({}));
        assert_eq!(app.get("/v1/config/all").await.json["version"], 0);

        let history = app.get("/v1/config/orders/history?limit=2").await.is(200);
        let versions: Vec<_> = history.items().iter().map(|item| item["version"].as_i64().unwrap()).collect();
        assert_eq!(versions, [3, 2]);
        let cursor = history.json["next_cursor"].as_str().unwrap();
        let rest = app.get(&format!("/v1/config/orders/history?limit=2&cursor={cursor}")).await.is(200);
        assert_eq!((rest.items().len(), &rest.items()[0]["settings"]), (1, &first));

        let events = app.events(3).await;
        let told: Vec<_> =
            events.iter().map(|(event, json)| (event.version, json["settings"].as_str().unwrap())).collect();
        assert_eq!(
            told,
            [(1, r#"{"log_filter":"info,sqlx=warn"}"#), (2, r#"{"log_filter":"debug"}"#), (3, "{}")]
        );
        assert_eq!(events[0].0.key, events[2].0.key);
    });
}

#[test]
fn of_two_who_replace_the_same_version_one_wins() {
    run(async {
        let app = TestApp::start().await;
        let other = app.replica().await;
        for version in 0..5 {
            let expected = format!("\"{version}\"");
            let tries = (0..8).map(|n| {
                let (app, expected) = (if n % 2 == 0 { &app } else { &other }, &expected);
                app.configure(
                    "orders",
                    ("if-match", expected),
                    json!({ "log_filter": format!("info,n{n}=warn") }),
                )
            });
            let answers = join_all(tries).await;
            let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
            assert_eq!(won.len(), 1, "{answers:?}");
            assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status.as_u16())), "{answers:?}");
            let now = other.get("/v1/config/orders").await;
            assert_eq!(
                (&now.json["version"], &now.json["settings"]),
                (&json!(version + 1), &won[0].json["settings"])
            );
        }
    });
}

#[test]
fn who_waits_is_woken_and_does_not_only_look_now_and_then() {
    run(async {
        let app = TestApp::start().await;
        let other = app.replica().await;
        woken(&app, &other, 0).await;
        // The connection that listens is lost, and comes back by itself.
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where pid <> pg_backend_pid() and datname = current_database() and query ilike 'listen%'";
        let cut: i64 = sqlx::query_scalar(cut).fetch_one(app.pool()).await.unwrap();
        assert_eq!(cut, 2);
        let version = app.get("/v1/config/orders").await.json["version"].as_i64().unwrap();
        woken(&app, &other, version).await;
    });
}

/// Looking happens every three seconds. A busy machine may be slow now and then, not each time.
async fn woken(app: &TestApp, other: &TestApp, version: i64) {
    for version in version..version + 8 {
        let known = format!("\"{version}\"");
        let began = Instant::now();
        let change = other.configure("orders", ("if-match", &known), json!({}));
        let (news, _) = tokio::join!(app.news("/v1/config/orders", &known, 30), change);
        news.is(200);
        if began.elapsed() < Duration::from_secs(1) {
            return;
        }
    }
    panic!("nobody was woken");
}

#[test]
fn who_waits_hears_of_a_change_at_another_replica() {
    run(async {
        let app = TestApp::start().await;
        let other = app.replica().await;
        let path = "/v1/config/gateway";
        app.news(path, "\"0\"", 1).await.is(304);
        let settings = json!({ "limits": { "read": { "per_second": 100, "burst": 20 } } });
        let change = async {
            // Others' settings wake nobody who waits for these.
            other.configure("orders", ("if-none-match", "*"), json!({})).await.is(200);
            other.configure("gateway", ("if-none-match", "*"), settings.clone()).await.is(200)
        };
        let (news, _) = tokio::join!(app.news(path, "\"0\"", 30), change);
        assert_eq!((&news.json["version"], &news.json["settings"]), (&json!(1), &settings));
        app.news(path, "\"0\"", 30).await.is(200);
        app.news(path, "W/\"1\"", 0).await.is(304);
    });
}
