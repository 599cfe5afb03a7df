//! What surrounds every handler.

use std::time::{Duration, Instant};

use reqwest::Method;
use viscount_contracts::ProductId;

use super::app::{TestApp, header, problem};
use super::raw;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[actix_web::test]
async fn every_answer_has_a_request_id() {
    let app = TestApp::start().await;
    let answer = app.get("/livez").header("x-request-id", "mine-1!").send().await.unwrap();
    assert_eq!(header(&answer, "x-request-id"), "mine-1!");
    for insane in ["", "two words", &"x".repeat(129)] {
        let answer = app.get("/livez").header("x-request-id", insane).send().await.unwrap();
        let made = header(&answer, "x-request-id");
        assert_eq!(made.len(), 36, "{made}");
        assert_eq!(&made[14..15], "7", "{made}");
    }
    for path in ["/nowhere", "/v1/me", "/v1/panic/1"] {
        let answer = app.get(path).header("x-request-id", "mine-2").send().await.unwrap();
        assert_eq!(header(&answer, "x-request-id"), "mine-2", "{path}");
    }
}

#[actix_web::test]
async fn the_trace_goes_on() {
    let app = TestApp::start().await;
    let seen =
        app.get("/v1/trace").header("traceparent", TRACEPARENT).send().await.unwrap().text().await.unwrap();
    assert_eq!(seen[..36], TRACEPARENT[..36], "the same trace");
    assert_ne!(seen[36..52], TRACEPARENT[36..52], "another span");
    let fresh =
        app.get("/v1/trace").header("traceparent", "00-zz").send().await.unwrap().text().await.unwrap();
    assert_eq!(fresh.len(), 55);
    let answer = app.get("/nowhere").header("traceparent", TRACEPARENT).send().await.unwrap();
    assert_eq!(problem(answer).await["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[actix_web::test]
async fn unknown_paths_are_404_and_wrong_methods_405() {
    let app = TestApp::start().await;
    for path in
        ["/", "/nowhere", "/v1/things/a/b", "/v1/things/", "/V1/things", "//v1/things", "/v1/orders%2f"]
    {
        assert_eq!(problem(app.get(path).send().await.unwrap()).await["status"], 404, "{path}");
    }
    let thing = format!("/v1/things/{}", ProductId::new());
    for (method, path, allow) in [
        (Method::DELETE, "/v1/things", vec!["GET", "POST"]),
        (Method::PATCH, thing.as_str(), vec!["GET", "PUT"]),
        (Method::POST, "/livez", vec!["GET"]),
        // A route by macro is only there for its method; the document knows the path.
        (Method::DELETE, "/v1/macro", vec!["POST"]),
        (Method::OPTIONS, "/v1/things", vec!["GET", "POST"]),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/things", vec!["GET", "POST"]),
    ] {
        let answer = app.client.request(method.clone(), app.url(path)).send().await.unwrap();
        let allowed = header(&answer, "allow");
        for expected in allow {
            assert!(allowed.split(", ").any(|method| method == expected), "{method} {path}: {allowed}");
        }
        let problem = problem(answer).await;
        assert_eq!(problem["status"], 405, "{method} {path}");
        assert_eq!(problem["type"], "/problems/method-not-allowed", "{method} {path}");
    }
}

#[actix_web::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::start().await;
    let answer = app.client.head(app.url("/v1/things")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(header(&answer, "content-length").parse::<usize>().unwrap() > 20);
    assert!(answer.bytes().await.unwrap().is_empty());
    let both =
        "HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = raw::send(app.addr(), both.as_bytes()).await;
    assert_eq!(answers.text.matches("HTTP/1.1 200").count(), 2, "{}", answers.text);
    assert_eq!(answers.text.matches("alive").count(), 1, "{}", answers.text);
}

#[actix_web::test]
async fn a_panic_is_a_500_and_the_connection_and_the_neighbours_live() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        let answer = app.get("/v1/panic/1").send().await.unwrap();
        let problem = problem(answer).await;
        assert_eq!(problem["status"], 500);
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    let two = "GET /v1/panic/2 HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = raw::send(app.addr(), two.as_bytes()).await;
    assert!(
        answers.text.starts_with("HTTP/1.1 500") && answers.text.contains("HTTP/1.1 200"),
        "{}",
        answers.text
    );
    let metrics = app.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("http_handler_panics_total{service=\"testing\"}"), "{metrics}");
}

#[actix_web::test]
async fn a_handler_that_takes_too_long_is_503_unless_its_caller_wants_to_wait() {
    let app = TestApp::start_with(|spec| spec.deadline = Duration::from_millis(200)).await;
    let answer = app.get("/v1/gate/1").send().await.unwrap();
    assert_eq!(header(&answer, "retry-after"), "1");
    assert_eq!(problem(answer).await["type"], "/problems/deadline");

    app.gate.entered.notified().await;
    let started = Instant::now();
    let waiting = app.get("/v1/gate").header("prefer", "wait=20").send();
    let opening = async {
        app.gate.entered.notified().await;
        tokio::time::sleep_until((started + Duration::from_millis(400)).into()).await;
        app.gate.open.notify_one();
    };
    let (answer, ()) = tokio::join!(waiting, opening);
    assert_eq!(answer.unwrap().text().await.unwrap(), "through");
}

#[actix_web::test]
async fn bare_refusals_become_problems_and_own_bodies_stay() {
    let app = TestApp::start().await;
    for status in [400, 401, 403, 404, 409, 413, 418, 429, 500, 502, 503] {
        let answer = app.get(&format!("/v1/bare/{status}")).send().await.unwrap();
        assert_eq!(problem(answer).await["status"], status);
    }
    assert_eq!(app.get("/v1/bare/204").send().await.unwrap().status(), 204);
    let own = app.get("/v1/oauth").send().await.unwrap();
    assert_eq!(own.status(), 400);
    assert_eq!(own.json::<serde_json::Value>().await.unwrap(), serde_json::json!({"error": "invalid_grant"}));
    let failed = problem(app.get("/v1/failed").send().await.unwrap()).await;
    assert!(failed["status"] == 500 && !failed.to_string().contains("hunter2"), "{failed}");
}

#[actix_web::test]
async fn metrics_count_by_template_and_never_by_id() {
    let app = TestApp::start_with(|spec| spec.service = "counted").await;
    let id = ProductId::new();
    for _ in 0..3 {
        app.get(&format!("/v1/things/{id}")).send().await.unwrap();
    }
    app.get(&format!("/v1/panic/{id}")).send().await.unwrap();
    app.get(&format!("/nowhere/{id}")).send().await.unwrap();
    let odd = Method::from_bytes(b"BREW").unwrap();
    app.client.request(odd, app.url("/v1/me")).send().await.unwrap();
    let text = app.get("/metrics").send().await.unwrap().text().await.unwrap();
    let count = |labels: &str| {
        let line = format!("http_requests_total{{service=\"counted\",{labels}}} ");
        let found = text.lines().find_map(|known| known.strip_prefix(&line)?.parse::<u64>().ok());
        found.unwrap_or_else(|| panic!("{line} not in {text}"))
    };
    assert_eq!(count("route=\"/v1/things/{id}\",method=\"GET\",status=\"200\""), 3);
    assert_eq!(count("route=\"unmatched\",method=\"GET\",status=\"404\""), 1);
    assert_eq!(count("route=\"/v1/me\",method=\"other\",status=\"405\""), 1);
    assert!(
        text.contains("http_request_seconds_bucket{service=\"counted\",route=\"/v1/things/{id}\""),
        "{text}"
    );
    assert!(!text.contains(&id.to_string()));
}
