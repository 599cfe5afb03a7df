//! Clients that are slow, silent, or too many.

use std::time::Duration;

use crate::support::*;

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| config.clients.connections = 2).await;
    let request = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut first, mut second) = (gateway.raw(request).await, gateway.raw(request).await);
    assert_eq!(
        (first.answer().await.status, second.answer().await.status),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
    let mut third = gateway.raw(request).await;
    let refused = third.answer().await;
    assert_eq!((refused.status.as_u16(), &refused.problem()["type"]), (503, &"/problems/overloaded".into()));
    assert!(refused.head.contains("retry-after: 1") && refused.head.contains("x-request-id: "));
    drop(first);
    until("the place to be free", async || gateway.raw(request).await.answer().await.status == 200).await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let service = TestService::echo().await;
    let gateway =
        TestGateway::with(&service, |config| config.clients.header_read = Duration::from_millis(100)).await;
    assert!(gateway.raw(b"GET /livez HTTP/1.1\r\nHost:").await.is_closed().await);
    // The same holds for a connection that is kept and not used.
    let mut kept = gateway.raw(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(kept.answer().await.status, 200);
    assert!(kept.is_closed().await);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_the_clients_fault() {
    let service = TestService::echo().await;
    let gateway = TestGateway::with(&service, |config| {
        config.clients.body_read = Duration::from_millis(100);
        config.calls.breaker.consecutive_failures = 1;
    })
    .await;
    let half = b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345";
    for _ in 0..3 {
        let answer = gateway.raw(half).await.answer().await;
        assert_eq!(
            (answer.status.as_u16(), &answer.problem()["type"]),
            (408, &"/problems/request-timeout".into())
        );
    }
    assert_eq!(gateway.get("/.well-known/jwks.json").await.status(), 200, "the service is not blamed");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let (begun, mut gone) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Receiver<()>>(1);
    let service = TestService::answering(move |_| {
        let begun = begun.clone();
        async move {
            // Dropped with the handler, when its connection goes.
            let (alive, receiver) = tokio::sync::oneshot::channel::<()>();
            begun.send(receiver).await.unwrap();
            std::future::pending::<()>().await;
            drop(alive);
            text_answer("")
        }
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let connection = gateway.raw(b"GET /v1/products HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let handler = gone.recv().await.unwrap();
    drop(connection);
    let ended = tokio::time::timeout(PATIENCE, handler).await.expect("the service to be let go");
    assert!(ended.is_err());
}
