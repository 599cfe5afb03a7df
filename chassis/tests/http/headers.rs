//! Header fields and ids that handlers ask for.

use viscount_contracts::ProductId;

use super::app::{TestApp, header, problem};
use super::raw;

#[actix_web::test]
async fn an_idempotency_key_is_required_and_sane() {
    let app = TestApp::start().await;
    let post = |key: &str| app.post("/v1/keyed").header("idempotency-key", key).send();
    for key in ["k", "a-b_c:{}!", &"x".repeat(255)] {
        assert_eq!(post(key).await.unwrap().text().await.unwrap(), *key);
    }
    for key in ["", "two words", &"x".repeat(256), "a\tb"] {
        assert_eq!(problem(post(key).await.unwrap()).await["status"], 400, "{key}");
    }
    let none = problem(app.post("/v1/keyed").send().await.unwrap()).await;
    assert_eq!(
        (none["status"].as_u64(), none["type"].as_str()),
        (Some(400), Some("/problems/missing-header"))
    );

    let head = "POST /v1/keyed HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n";
    let twice = format!("{head}idempotency-key: a\r\nidempotency-key: b\r\n\r\n");
    assert_eq!(raw::send(app.addr(), twice.as_bytes()).await.status(), 400);
    let wide = [head.as_bytes(), b"idempotency-key: \xc3\xa9\r\n\r\n"].concat();
    assert_eq!(raw::send(app.addr(), &wide).await.status(), 400);
}

#[actix_web::test]
async fn if_match_guards_updates() {
    let app = TestApp::start().await;
    let url = app.url(&format!("/v1/things/{}", ProductId::new()));
    let put = |tag: &str| app.client.put(&url).header("if-match", tag).send();
    for (tag, status) in [
        ("\"7\"", 204),
        ("*", 204),
        ("\"8\"", 412),
        ("W/\"7\"", 412),
        ("\"abc\"", 412),
        ("\"07\"", 412),
        ("\"99999999999\"", 412),
        ("7", 400),
        ("\"7", 400),
        ("\"7\", \"8\"", 400),
        ("", 400),
    ] {
        assert_eq!(put(tag).await.unwrap().status(), status, "{tag}");
    }
    assert_eq!(problem(app.client.put(&url).send().await.unwrap()).await["status"], 428);
}

#[actix_web::test]
async fn versions_are_entity_tags() {
    let app = TestApp::start().await;
    let path = format!("/v1/things/{}", ProductId::new());
    let answer = app.get(&path).send().await.unwrap();
    assert_eq!(header(&answer, "etag"), "\"7\"");
    for (tag, status) in
        [("\"7\"", 304), ("W/\"7\"", 304), ("\"1\", \"7\"", 304), ("*", 304), ("\"1\"", 200), ("7", 200)]
    {
        let answer = app.get(&path).header("if-none-match", tag).send().await.unwrap();
        assert_eq!(answer.status(), status, "{tag}");
    }
}

#[actix_web::test]
async fn what_is_no_id_names_nothing() {
    let app = TestApp::start().await;
    let id = ProductId::new().to_string();
    assert_eq!(app.get(&format!("/v1/things/{id}")).send().await.unwrap().status(), 200);
    assert_eq!(app.get(&format!("/v1/things/{}", id.to_uppercase())).send().await.unwrap().status(), 200);
    let simple = id.replace('-', "");
    for bad in [
        "7",
        "null",
        "%00",
        "%ff",
        &simple,
        &format!("%7B{id}%7D"),
        &format!("urn:uuid:{id}"),
        &format!("{id}x"),
    ] {
        let answer = app.get(&format!("/v1/things/{bad}")).send().await.unwrap();
        assert_eq!(problem(answer).await["status"], 404, "{bad}");
    }
}

#[actix_web::test]
async fn prefer_wait_is_understood_capped_and_never_an_error() {
    let app = TestApp::start().await;
    for (prefer, wait) in [
        ("wait=5", "Some(5s)"),
        ("respond-async, wait=2", "Some(2s)"),
        ("WAIT = \"3\"; foo=bar", "Some(3s)"),
        ("wait=600", "Some(30s)"),
        ("wait=99999999999999999999999", "Some(30s)"),
        ("wait=0", "Some(0ns)"),
        ("wait=-1", "None"),
        ("wait=soon", "None"),
        ("wait", "None"),
        ("handling=strict", "None"),
        ("", "None"),
    ] {
        let answer = app.get("/v1/wait").header("prefer", prefer).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), wait, "{prefer}");
    }
}
