//! What an answer means.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    Kept,
    server::{Reply, Server},
    world,
};
use crate::history::{Call, KEY_IN_USE, Outcome};

async fn outcome(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Outcome {
    let server = Server::start(move |_| reply()).await;
    let kept = Kept::new();
    let world = world(&server, &kept, "timeout = \"300ms\"");
    let question = world.order(0, "a-key".to_owned(), vec![], "tok_visa");
    let told = world.ask_once(7, &question, 0).await.outcome;
    let operations = kept.operations().await;
    assert_eq!(operations.len(), 1);
    assert_eq!(operations[0].outcome, told, "what is recorded is what was told");
    assert_eq!((operations[0].client, &operations[0].door), (7, &server.door));
    assert_eq!(operations[0].call, question.call);
    assert!(operations[0].begun <= operations[0].ended);
    told
}

fn json(status: u16) -> impl Fn() -> Reply {
    move || Reply::Json(status, vec![], json!({"id": "x"}))
}

fn unknown(outcome: &Outcome) -> (Option<u16>, &str, bool) {
    match outcome {
        Outcome::Unknown { status, why, retriable } => (*status, why, *retriable),
        other => panic!("{other:?} is not unknown"),
    }
}

#[tokio::test]
async fn what_is_answered_2xx_is_so() {
    for status in [200, 201] {
        let ok = Outcome::Ok { status, body: json!({"id": "x"}), replayed: false };
        assert_eq!(outcome(json(status)).await, ok);
    }
    let ok = Outcome::Ok { status: 204, body: Value::Null, replayed: false };
    assert_eq!(outcome(json(204)).await, ok);
    let again = || Reply::Json(201, vec![("Idempotent-Replayed", "true")], json!(1));
    assert_eq!(outcome(again).await, Outcome::Ok { status: 201, body: json!(1), replayed: true });
}

#[tokio::test]
async fn every_4xx_is_a_refusal() {
    for status in [400, 401, 403, 404, 408, 409, 412, 422, 425, 429] {
        let refused = Outcome::Refused { status, problem: "about:blank".to_owned() };
        assert_eq!(outcome(json(status)).await, refused);
    }
    let in_use = || Reply::Json(409, vec![("Retry-After", "1")], json!({"type": KEY_IN_USE}));
    assert_eq!(outcome(in_use).await, Outcome::Refused { status: 409, problem: KEY_IN_USE.to_owned() });
    let no_body = || Reply::Raw(b"HTTP/1.1 404 No\r\ncontent-length: 50\r\n\r\n{\"ty".to_vec());
    let refused = Outcome::Refused { status: 404, problem: "about:blank".to_owned() };
    assert_eq!(outcome(no_body).await, refused, "the head says it all");
}

#[tokio::test]
async fn any_other_status_is_unknown() {
    for status in [302, 304, 500, 502, 503, 504] {
        assert_eq!(unknown(&outcome(json(status)).await).0, Some(status));
    }
    let later = || Reply::Json(503, vec![("Retry-After", "1")], json!({"type": "/problems/overloaded"}));
    let (status, why, retriable) = (Some(503), "Service Unavailable", true);
    assert_eq!(unknown(&outcome(later).await), (status, why, retriable));
    assert!(!unknown(&outcome(json(503)).await).2, "nobody said to come again");
}

#[tokio::test]
async fn an_answer_that_does_not_come_whole_is_unknown() {
    let stalled = outcome(|| Reply::Stall).await;
    assert_eq!(unknown(&stalled), (None, "no answer in time", false));
    let closed = outcome(|| Reply::Raw(vec![])).await;
    assert_eq!(unknown(&closed).0, None);
    let half = || Reply::Raw(b"HTTP/1.1 201 Created\r\ncontent-length: 50\r\n\r\n{\"id\":".to_vec());
    let half = outcome(half).await;
    assert_eq!(unknown(&half).0, Some(201));
    assert!(unknown(&half).1.starts_with("the body broke off"), "{half:?}");
    let unreadable = || Reply::Raw(b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\n{\"id\"".to_vec());
    let unreadable = outcome(unreadable).await;
    assert!(unknown(&unreadable).1.starts_with("a body that cannot be read"), "{unreadable:?}");
    let endless = || {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(2 * 1024 * 1024, b' ');
        Reply::Raw(answer)
    };
    assert_eq!(unknown(&outcome(endless).await).1, "a body of more than 1048576 bytes");
}

#[tokio::test]
async fn nobody_at_the_door_is_unknown() {
    let server = Server::start(|_| Reply::Stall).await;
    let kept = Kept::new();
    let world = world(&server, &kept, "");
    drop(server);
    let deadline = Instant::now() + Duration::from_secs(20);
    // Closed at last: a connection that is still taken is reset.
    loop {
        assert!(Instant::now() < deadline, "connections are taken, or the reason is not told");
        let call = Call::ReadOrder { order: uuid::Uuid::nil(), buyer: uuid::Uuid::nil() };
        let question = super::super::book::Question { buyer: 0, call, body: Default::default(), door: 0 };
        let outcome = world.ask_once(0, &question, 0).await.outcome;
        if unknown(&outcome).1.starts_with("not connected: Connection refused") {
            break;
        }
    }
}
