//! Bodies, good and hostile.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::app::{TestApp, header, problem};
use super::raw;

async fn post(app: &TestApp, body: impl Into<reqwest::Body>) -> reqwest::Response {
    app.post("/v1/things").header("content-type", "application/json").body(body).send().await.unwrap()
}

#[actix_web::test]
async fn a_good_body_is_taken() {
    let app = TestApp::start().await;
    let body = json!({"name": "kettle \\u0000 is only text", "quantity": 3, "ratio": 0.5});
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.viscount+json"] {
        let answer =
            app.post("/v1/things").header("content-type", kind).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{kind}");
        assert_eq!(answer.json::<Value>().await.unwrap()["name"], body["name"]);
    }
}

#[actix_web::test]
async fn what_is_not_json_is_400() {
    let app = TestApp::start().await;
    let deep = "[".repeat(100_000);
    let cases: [&[u8]; 13] = [
        b"",
        b" ",
        b"{",
        b"{\"name\":",
        b"[1",
        b"nul",
        b"{\"name\":\"a\",}",
        b"{} {}",
        b"{'name':'a'}",
        b"\xff\xfe",
        b"{\"name\":\"\x00\"}",
        b"\xef\xbb\xbf{}",
        deep.as_bytes(),
    ];
    for body in cases {
        let problem = problem(post(&app, body.to_vec()).await).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(problem["status"], 400, "{shown} {problem}");
        assert_eq!(problem["type"], "/problems/malformed", "{shown}");
    }
    // Wrong in shape before it breaks off: still not JSON.
    let problem = problem(post(&app, "{\"name\": 1, \"quantity\"").await).await;
    assert_eq!(problem["status"], 400);
}

#[actix_web::test]
async fn what_has_the_wrong_shape_is_422_with_a_pointer() {
    let app = TestApp::start().await;
    let long = format!("{{\"name\":\"a\",\"quantity\":\"{}\"}}", "x".repeat(5000));
    let line = |line: Value| json!({"name": "a", "quantity": 1, "lines": [line]}).to_string();
    let id = "0192f0a0-0000-7000-8000-000000000000";
    let cases = [
        ("{}".to_owned(), "/name"),
        (json!({"name": 5, "quantity": 1}).to_string(), "/name"),
        (json!({"name": "a", "quantity": "many"}).to_string(), "/quantity"),
        (json!({"name": "a", "quantity": -1}).to_string(), "/quantity"),
        (json!({"name": "a", "quantity": 1.5}).to_string(), "/quantity"),
        (json!({"name": "a", "quantity": 4_294_967_296u64}).to_string(), "/quantity"),
        ("{\"name\":\"a\",\"quantity\":99999999999999999999999}".to_owned(), "/quantity"),
        ("{\"name\":\"a\",\"quantity\":1,\"ratio\":1e999}".to_owned(), "/ratio"),
        (json!({"name": "a"}).to_string(), "/quantity"),
        (json!({"name": "a", "quantity": 1, "colour": "red"}).to_string(), "/colour"),
        (json!({"name": "a", "quantity": 1, "a/b~c": 1}).to_string(), "/a~1b~0c"),
        (json!({"name": "a", "quantity": 1, "lines": {}}).to_string(), "/lines"),
        (line(json!({"product_id": "7", "quantity": 1})), "/lines/0/product_id"),
        (line(json!({"product_id": id, "quantity": "1"})), "/lines/0/quantity"),
        (line(json!({"product_id": id})), "/lines/0/quantity"),
        (line(json!({"product_id": id, "quantity": 1, "price": 1})), "/lines/0/price"),
        (line(json!(7)), "/lines/0"),
        ("{\"name\":\"a\",\"name\":\"b\",\"quantity\":1}".to_owned(), "/name"),
        // Grammatical, but no text: half of a surrogate pair.
        ("{\"name\":\"\\ud800\",\"quantity\":1}".to_owned(), "/name"),
        ("[]".to_owned(), ""),
        ("null".to_owned(), ""),
        ("\"text\"".to_owned(), ""),
        (long, "/quantity"),
    ];
    for (body, pointer) in cases {
        let problem = problem(post(&app, body.clone()).await).await;
        assert_eq!(problem["status"], 422, "{body} {problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body} {problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!((1..=300).contains(&detail.len()) && !detail.contains(" at line "), "{detail}");
    }
}

#[actix_web::test]
async fn nul_characters_are_422_wherever_they_hide() {
    let app = TestApp::start().await;
    let cases = [
        (r#"{"name":"a\u0000b","quantity":1}"#, "/name"),
        (r#"{"name":"a","quantity":1,"labels":{"x":"\u0000"}}"#, "/labels/x"),
        (r#"{"name":"a","quantity":1,"labels":{"x\u0000":"y"}}"#, "/labels"),
        (r#"{"name":"a","quantity":1,"labels":{"a":"b","c":"\\\u0000"}}"#, "/labels/c"),
    ];
    for (body, pointer) in cases {
        let problem = problem(post(&app, body).await).await;
        assert_eq!(problem["status"], 422, "{body}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
}

#[actix_web::test]
async fn only_json_is_taken() {
    let app = TestApp::start().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "json",
        "",
        "application/+json",
    ] {
        let answer = app.post("/v1/things").header("content-type", kind).body("{}").send().await.unwrap();
        assert_eq!(problem(answer).await["status"], 415, "{kind}");
    }
    let answer = app.post("/v1/things").body("{}").send().await.unwrap();
    assert_eq!(problem(answer).await["status"], 415);
}

#[actix_web::test]
async fn a_body_that_is_too_large_is_413_announced_or_not() {
    let app = TestApp::start_with(|spec| spec.body_limit = 1000).await;
    // Announced: refused before anything of it is sent.
    let head = "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1001\r\n\r\n";
    let answer = raw::send(app.addr(), head.as_bytes()).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.json()["type"], "/problems/payload-too-large");

    // In chunks: refused as soon as it is too much, though it never ends.
    let head = "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = format!("1f4\r\n{}\r\n", " ".repeat(500)).repeat(3);
    let answer = raw::send(app.addr(), format!("{head}{chunks}").as_bytes()).await;
    assert_eq!(answer.status(), 413);

    let fitting = format!("{}{{\"name\":\"a\",\"quantity\":1}}", " ".repeat(975));
    assert_eq!(fitting.len(), 1000);
    assert_eq!(post(&app, fitting).await.status(), 201);
}

#[actix_web::test]
async fn a_body_that_stalls_is_408_and_the_connection_ends() {
    let app = TestApp::start_with(|spec| spec.deadline = Duration::from_millis(400)).await;
    let mut stream = TcpStream::connect(app.addr()).await.unwrap();
    let part = "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"name\"";
    stream.write_all(part.as_bytes()).await.unwrap();
    let answer = raw::read_to_end(&mut stream).await;
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.json()["type"], "/problems/request-timeout");
    // Somebody else is served meanwhile and after.
    assert_eq!(post(&app, r#"{"name":"a","quantity":1}"#).await.status(), 201);
}

#[actix_web::test]
async fn bodies_of_other_kinds_have_the_same_limits() {
    let app = TestApp::start_with(|spec| {
        spec.deadline = Duration::from_millis(400);
        spec.body_limit = 1000;
    })
    .await;
    let stalled = "POST /v1/bytes HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
    assert_eq!(raw::send(app.addr(), stalled.as_bytes()).await.status(), 408);
    let answer = app.post("/v1/bytes").body("x".repeat(1001)).send().await.unwrap();
    assert_eq!(problem(answer).await["status"], 413);
    let answer = app.post("/v1/bytes").body("x".repeat(1000)).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "1000");
}

#[actix_web::test]
async fn nobody_holds_a_connection_with_a_body_that_nobody_reads() {
    let app = TestApp::start_with(|spec| spec.deadline = Duration::from_millis(400)).await;
    let part = "transfer-encoding: chunked\r\ncontent-type: application/json\r\nhost: x\r\n\r\n5\r\n{\"nam";
    for (start, status) in [
        ("GET /v1/me", 401),
        ("GET /nowhere", 404),
        ("POST /v1/things", 408),
        ("GET /v1/panic/1", 500),
        ("GET /v1/gate", 503),
    ] {
        let request = format!("{start} HTTP/1.1\r\n{part}");
        assert_eq!(raw::send(app.addr(), request.as_bytes()).await.status(), status, "{start}");
    }
    // A chunked body that ends is no reason to close.
    let whole = "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
                 d\r\n{\"name\":\"a\",\"\r\nc\r\nquantity\":1}\r\n0\r\n\r\n\
                 GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = raw::send(app.addr(), whole.as_bytes()).await;
    assert!(
        answers.text.starts_with("HTTP/1.1 201") && answers.text.contains("HTTP/1.1 200"),
        "{}",
        answers.text
    );
}

#[actix_web::test]
async fn actix_extractors_refuse_with_problems_too() {
    let app = TestApp::start().await;
    let answer = app.get("/v1/number/many").send().await.unwrap();
    assert_eq!(problem(answer).await["status"], 404);
    let answer = app.post("/v1/plain").json(&json!({"name": 1})).send().await.unwrap();
    assert_eq!(problem(answer).await["status"], 400);
    let answer = app.post("/v1/plain").json(&json!({"name": "a", "quantity": 1})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
}
