//! Requests made to be misread by somebody.

use crate::support::*;

const SMUGGLED: &str = "GET /v1/categories HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_length_that_can_be_read_two_ways_is_refused() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    for headers in [
        "Content-Length: 4\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4, 4",
        "Content-Length: +4",
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 4\r\n Transfer-Encoding: chunked",
    ] {
        let request =
            format!("POST /v1/auth/login HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        let mut connection = gateway.raw(request.as_bytes()).await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, 400, "{headers}");
        assert!(connection.is_closed().await, "nothing after it is read: {headers}");
    }
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn the_refusal_says_why() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let request =
        b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n";
    let answer = gateway.raw(request).await.answer().await;
    assert_eq!(answer.problem()["type"], "/problems/ambiguous-request");
    assert!(answer.head.contains("connection: close") && answer.head.contains("x-request-id: "));
}

#[tokio::test]
async fn honest_requests_before_it_on_the_connection_are_served() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let pipeline = "POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\nContent-Length: 1\r\nGET / a\r\n\
         POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut connection = gateway.raw(pipeline.as_bytes()).await;
    let statuses = [connection.answer().await, connection.answer().await, connection.answer().await]
        .map(|answer| answer.status.as_u16());
    assert_eq!(statuses, [200, 200, 400]);
    assert_eq!(service.seen().len(), 2);
}
