//! The routes for those who run a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use viscount_chassis::auth::Role;

use super::app::{TestApp, header, problem};

#[actix_web::test]
async fn alive_is_not_ready() {
    let app = TestApp::start().await;
    app.health.check("database", || Box::pin(std::future::pending()));
    assert_eq!(app.get("/livez").send().await.unwrap().status(), 200);
    let answer = app.get("/readyz").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(header(&answer, "content-type"), "application/json");
    let report: Value = answer.json().await.unwrap();
    assert_eq!(report["status"], "unready");
    assert_eq!(report["checks"][0]["name"], "service");
    assert_eq!(report["checks"][0]["status"], "failed");
    assert_eq!(report["checks"][1]["detail"], "no answer within a second");
}

#[actix_web::test]
async fn ready_is_the_switch_and_every_check() {
    let app = TestApp::start().await;
    app.health.check("database", || Box::pin(async { Ok(()) }));
    let ask = || async {
        let answer = app.get("/readyz").send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    app.health.set_ready(true);
    let (status, report) = ask().await;
    assert_eq!((status, report["status"].as_str()), (200, Some("ready")));
    app.health.set_ready(false);
    assert_eq!(ask().await.0, 503, "the switch is never cached");
}

#[actix_web::test]
async fn a_check_that_fails_or_panics_says_so() {
    let app = TestApp::start().await;
    app.health.set_ready(true);
    app.health.check("log", || Box::pin(async { Err("behind".to_owned()) }));
    app.health.check("odd", || panic!("a bug in a check"));
    let report = app.health.report().await;
    assert!(!report.is_ready());
    assert_eq!(report.checks[1].detail.as_deref(), Some("behind"));
    assert_eq!(report.checks[2].detail.as_deref(), Some("the check panicked"));
}

#[actix_web::test]
async fn a_crowd_of_probes_runs_each_check_once() {
    let app = TestApp::start().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    app.health.check("database", move || {
        let counted = Arc::clone(&counted);
        Box::pin(async move {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        })
    });
    let probes = (0..50).map(|_| app.health.report());
    futures_util::future::join_all(probes).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[actix_web::test]
async fn the_document_and_the_metrics_are_there() {
    let app = TestApp::start().await;
    let document: Value = app.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/things/{id}"]["get"].is_object());
    let metrics = app.get("/metrics").send().await.unwrap();
    assert!(header(&metrics, "content-type").starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text().await.unwrap().contains("process_resident_memory_bytes"));
}

#[actix_web::test]
async fn metrics_come_in_the_format_that_was_asked_for() {
    let app = TestApp::start_with(|spec| spec.service = "exposed").await;
    app.get("/livez").send().await.unwrap();
    let asked =
        app.get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    let metrics = asked.send().await.unwrap();
    assert!(header(&metrics, "content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let text = metrics.text().await.unwrap();
    assert!(text.contains("\n# TYPE http_requests counter\n") && text.ends_with("\n# EOF\n"), "{text}");
    assert!(!text.contains("\n\n"), "OpenMetrics knows no empty line");
    let bucket =
        "http_request_seconds_bucket{service=\"exposed\",route=\"/livez\",method=\"GET\",le=\"5.0\"} 1\n";
    assert!(text.contains(bucket), "{text}");
}

#[actix_web::test]
async fn the_actors_are_for_admins() {
    let app = TestApp::start().await;
    assert_eq!(problem(app.get("/v1/ops/actors").send().await.unwrap()).await["status"], 401);
    let ask = |role| app.get("/v1/ops/actors").bearer_auth(app.token(role)).send();
    assert_eq!(problem(ask(Role::Customer).await.unwrap()).await["status"], 403);
    assert_eq!(problem(ask(Role::Service).await.unwrap()).await["status"], 403);
    let shown: Value = ask(Role::Admin).await.unwrap().json().await.unwrap();
    assert_eq!(shown["service"], "testing");
    assert_eq!(shown["tree"]["path"], "testing");
    assert_eq!(shown["tree"]["kind"], "supervisor");
}

#[actix_web::test]
async fn exits_release_and_faults_are_for_admins() {
    let app = TestApp::start_with(|spec| spec.supervisor.faults().allow()).await;
    let release = json!({"path": "testing/order", "id": "7"});
    let fault = json!({"kind": "panic", "actor": "order"});
    for (method, path, body, allowed) in [
        (Method::GET, "/v1/ops/actors/exits", None, 200),
        (Method::POST, "/v1/ops/actors/release", Some(&release), 404),
        (Method::GET, "/v1/ops/faults", None, 200),
        (Method::POST, "/v1/ops/faults", Some(&fault), 422),
        (Method::DELETE, "/v1/ops/faults", None, 200),
        (Method::DELETE, "/v1/ops/faults/none", None, 404),
        (Method::GET, "/v1/ops/explain?key=0199f3a0-0000-7000-8000-000000000000", None, 200),
    ] {
        let ask = |token: Option<String>| {
            let mut request = app.client.request(method.clone(), app.url(path));
            request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
            body.iter().fold(request, |request, body| request.json(body)).send()
        };
        let nobody = ask(None).await.unwrap();
        assert_eq!(header(&nobody, "www-authenticate"), "Bearer", "{method} {path}");
        assert_eq!(problem(nobody).await["status"], 401, "{method} {path}");
        // Only the evidence is for other services as well.
        let refused: &[_] = match path.contains("explain") {
            true => &[Role::Customer],
            false => &[Role::Customer, Role::Service],
        };
        for role in refused.iter().copied() {
            let refused = problem(ask(Some(app.token(role))).await.unwrap()).await;
            assert_eq!(refused["status"], 403, "{method} {path}: {refused}");
        }
        let admin = ask(Some(app.token(Role::Admin))).await.unwrap();
        assert_eq!(admin.status(), allowed, "{method} {path}");
    }
}

#[actix_web::test]
async fn the_metrics_through_the_gateway_are_for_admins_and_say_whose_they_are() {
    let app = TestApp::start().await;
    assert_eq!(problem(app.get("/v1/ops/metrics").send().await.unwrap()).await["status"], 401);
    let ask = |role| app.get("/v1/ops/metrics").bearer_auth(app.token(role)).send();
    assert_eq!(problem(ask(Role::Service).await.unwrap()).await["status"], 403);
    let first = ask(Role::Admin).await.unwrap();
    assert!(header(&first, "content-type").starts_with("text/plain; version=0.0.4"));
    assert_eq!(header(&first, "cache-control"), "no-store");
    let process = header(&first, "process-id").to_owned();
    assert_eq!(header(&ask(Role::Admin).await.unwrap(), "process-id"), process);
    assert!(first.text().await.unwrap().contains("process_resident_memory_bytes"));
}
