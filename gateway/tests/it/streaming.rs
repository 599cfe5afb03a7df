//! Bodies flow through in both directions and are never held.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use viscount_chassis::auth::Role;

use crate::support::*;

/// An answer whose body comes piece by piece.
fn piecewise(mut pieces: mpsc::Receiver<Bytes>) -> Answer {
    let stream = futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
    });
    Response::new(BodyExt::boxed(StreamBody::new(stream)))
}

#[tokio::test]
async fn a_large_answer_waits_for_its_reader() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 1024;
    let (sent, stalled) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let service = TestService::answering({
        let (sent, stalled) = (sent.clone(), stalled.clone());
        move |_| {
            let (pieces, receiver) = mpsc::channel(1);
            let (sent, stalled) = (sent.clone(), stalled.clone());
            tokio::spawn(async move {
                for _ in 0..PIECES {
                    let piece = Bytes::from(vec![b'x'; PIECE]);
                    // Whoever waits this long for room is stalled; then it goes on waiting.
                    let room = match timeout(Duration::from_millis(300), pieces.reserve()).await {
                        Ok(room) => room,
                        Err(_) => {
                            stalled.notify_one();
                            pieces.reserve().await
                        }
                    };
                    let Ok(room) = room else { return };
                    room.send(piece);
                    sent.fetch_add(PIECE, Ordering::SeqCst);
                }
            });
            async move { piecewise(receiver) }
        }
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let mut answer = gateway.get("/v1/products").await;
    timeout(PATIENCE, stalled.notified()).await.expect("the service to be held back");
    let held = sent.load(Ordering::SeqCst);
    assert!(held < PIECE * PIECES / 2, "{held} bytes were taken from the service while nobody read");
    let mut received = 0;
    while let Some(piece) = answer.chunk().await.unwrap() {
        received += piece.len();
    }
    assert_eq!(received, PIECE * PIECES);
}

#[tokio::test]
async fn a_request_body_reaches_the_service_before_it_is_whole() {
    let (begun, received) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let service = TestService::answering({
        let (begun, received) = (begun.clone(), received.clone());
        move |request| {
            let (begun, received) = (begun.clone(), received.clone());
            async move {
                let mut body = request.into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    received.fetch_add(frame.into_data().map_or(0, |data| data.len()), Ordering::SeqCst);
                    begun.notify_one();
                }
                text_answer("whole")
            }
        }
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let head = "POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n";
    let mut connection = gateway.raw(head.as_bytes()).await;
    connection.send(&[b'x'; 1000]).await;
    timeout(PATIENCE, begun.notified()).await.expect("the first half to arrive");
    assert_eq!(received.load(Ordering::SeqCst), 1000);
    connection.send(&[b'x'; 1000]).await;
    assert_eq!(connection.answer().await.body, b"whole");
    assert_eq!(received.load(Ordering::SeqCst), 2000);
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let next = Arc::new(Notify::new());
    let service = TestService::answering({
        let next = next.clone();
        move |request| {
            assert_eq!(request.headers()["last-event-id"], "3");
            let (pieces, receiver) = mpsc::channel(1);
            let next = next.clone();
            tokio::spawn(async move {
                for version in 4..8 {
                    pieces.send(Bytes::from(format!("id: {version}\ndata: {{}}\n\n"))).await.unwrap();
                    next.notified().await;
                }
            });
            async move {
                let mut answer = piecewise(receiver);
                answer.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
                answer
            }
        }
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let request = gateway
        .http
        .get(gateway.url("/v1/orders/1/stream"))
        .bearer_auth(gateway.token(Role::Customer))
        .header("accept", "text/event-stream")
        .header("last-event-id", "3");
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    for version in 4..8 {
        let piece = timeout(PATIENCE, answer.chunk()).await.expect("an event in time").unwrap().unwrap();
        assert_eq!(piece, format!("id: {version}\ndata: {{}}\n\n"));
        next.notify_one();
    }
    assert!(answer.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn a_service_that_stops_in_the_middle_is_cut_off() {
    let service = TestService::answering(|_| {
        let (pieces, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            pieces.send(Bytes::from_static(b"half")).await.unwrap();
            pieces.closed().await;
        });
        async move { piecewise(receiver) }
    })
    .await;
    let gateway =
        TestGateway::with(&service, |config| config.calls.answer_idle = Duration::from_millis(100)).await;
    let mut answer = gateway.get("/v1/products").await;
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "half");
    let end = timeout(PATIENCE, answer.chunk()).await.expect("an end in time");
    assert!(end.is_err(), "half an answer must not look whole");
}
