//! Websockets pass through, with their handshake, their refusals and their back-pressure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role as Side;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use viscount_chassis::auth::Role;

use crate::support::*;

type Socket = WebSocketStream<TokioIo<Upgraded>>;
pub type ClientSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A service that accepts a websocket and hands it on.
pub async fn websockets<F, Fut>(talk: F) -> TestService
where
    F: Fn(Socket) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    TestService::answering(move |mut request: Request<Incoming>| {
        let talk = talk.clone();
        async move {
            let key = derive_accept_key(request.headers()["sec-websocket-key"].as_bytes());
            let protocol = request.headers().get("sec-websocket-protocol").cloned();
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let stream = TokioIo::new(upgrade.await.unwrap());
                talk(WebSocketStream::from_raw_socket(stream, Side::Server, None).await).await;
            });
            let mut answer = Response::new(Empty::<Bytes>::new().boxed());
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = answer.headers_mut();
            headers.insert("connection", "upgrade".parse().unwrap());
            headers.insert("upgrade", "websocket".parse().unwrap());
            headers.insert("sec-websocket-accept", key.parse().unwrap());
            if let Some(protocol) = protocol {
                headers.insert("sec-websocket-protocol", protocol);
            }
            answer
        }
    })
    .await
}

pub async fn connect(
    gateway: &TestGateway,
    path: &str,
) -> Result<(ClientSocket, Response<Option<Vec<u8>>>), Error> {
    let mut request = format!("ws://{}{path}", gateway.addr).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "orders.v1".parse().unwrap());
    let token = format!("Bearer {}", gateway.token(Role::Customer));
    request.headers_mut().insert("authorization", token.parse().unwrap());
    connect_async(request).await
}

pub async fn echo(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            socket.send(message).await.unwrap();
        }
    }
}

#[tokio::test]
async fn messages_pass_both_ways_and_the_protocol_is_kept() {
    let service = websockets(echo).await;
    let gateway = TestGateway::before(&service).await;
    let (mut socket, answer) = connect(&gateway, "/v1/orders/1/stream?after=3").await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "orders.v1");
    assert!(answer.headers().contains_key("x-request-id") && answer.headers().contains_key("ratelimit"));
    for n in 0..100 {
        let message = Message::text(format!("{n}").repeat(n * 10 + 1));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    let seen = service.seen();
    assert_eq!(seen[0].target, "/v1/orders/1/stream?after=3");
    assert_eq!(seen[0].headers["connection"], "upgrade");
    assert_eq!(seen[0].headers["sec-websocket-version"], "13");
}

#[tokio::test]
async fn a_refusal_of_the_service_is_passed_on_unchanged() {
    let service = TestService::answering(|_| async {
        let mut answer = json_answer(&serde_json::json!({"type": "/problems/not-found"}));
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let Err(Error::Http(answer)) = connect(&gateway, "/v1/orders/1/stream").await else {
        panic!("not refused")
    };
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.body().as_deref(), Some(br#"{"type":"/problems/not-found"}"#.as_slice()));
}

#[tokio::test]
async fn an_upgrade_passes_only_where_streams_are() {
    let service = TestService::echo().await;
    let gateway = TestGateway::before(&service).await;
    let Err(Error::Http(answer)) = connect(&gateway, "/v1/orders/1").await else { panic!("upgraded") };
    assert_eq!(answer.status(), 200);
    assert!(!service.seen()[0].headers.contains_key("upgrade"));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_service_back() {
    const MESSAGE: usize = 16 * 1024;
    const MESSAGES: usize = 4096;
    let (sent, stalled) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let service = websockets({
        let (sent, stalled) = (sent.clone(), stalled.clone());
        move |mut socket: Socket| {
            let (sent, stalled) = (sent.clone(), stalled.clone());
            async move {
                for n in 0..MESSAGES {
                    let message = Message::binary(vec![n as u8; MESSAGE]);
                    let mut sending = std::pin::pin!(socket.send(message));
                    if timeout(Duration::from_millis(300), sending.as_mut()).await.is_err() {
                        stalled.notify_one();
                        sending.await.unwrap();
                    }
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                socket.close(None).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            }
        }
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let (mut socket, _) = connect(&gateway, "/v1/orders/1/stream").await.unwrap();
    timeout(PATIENCE, stalled.notified()).await.expect("the service to be held back");
    let held = sent.load(Ordering::SeqCst);
    assert!(held < MESSAGES / 2, "{held} messages were taken while nobody read");
    for n in 0..MESSAGES {
        let message = timeout(PATIENCE, socket.next()).await.expect("a message in time").unwrap().unwrap();
        assert_eq!(message.into_data(), vec![n as u8; MESSAGE]);
    }
}

#[tokio::test]
async fn a_tunnel_that_is_silent_both_ways_is_closed() {
    let service = websockets(echo).await;
    let gateway =
        TestGateway::with(&service, |config| config.clients.tunnel_idle = Duration::from_millis(100)).await;
    let (mut socket, _) = connect(&gateway, "/v1/orders/1/stream").await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let end = timeout(PATIENCE, socket.next()).await.expect("an end in time");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
}
