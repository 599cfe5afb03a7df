//! Closing in good order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;
use crate::websocket::{connect, echo, websockets};

#[tokio::test]
async fn answers_under_way_are_finished_and_nothing_new_begins() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = TestService::answering({
        let (begun, go) = (begun.clone(), go.clone());
        move |_| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.notify_one();
                go.notified().await;
                text_answer("done")
            }
        }
    })
    .await;
    let gateway = TestGateway::before(&service).await;
    let addr = gateway.addr;
    let mut idle = gateway.raw(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 200);
    let mut busy = gateway.raw(b"GET /v1/products HTTP/1.1\r\nHost: a\r\n\r\n").await;
    begun.notified().await;

    let draining = tokio::spawn(gateway.handle.drain(PATIENCE));
    assert!(idle.is_closed().await, "kept connections end at once");
    until("the door to be shut", async || TcpStream::connect(addr).await.is_err()).await;
    assert!(!draining.is_finished());
    go.notify_one();
    let answer = busy.answer().await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"done".as_slice()));
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!(timeout(PATIENCE, draining).await.unwrap().unwrap().cut, 0);
}

#[tokio::test]
async fn streams_live_until_the_deadline_and_are_cut_then() {
    let service = websockets(echo).await;
    let gateway = TestGateway::before(&service).await;
    let (mut socket, _) = connect(&gateway, "/v1/orders/1/stream").await.unwrap();
    let draining = tokio::spawn(gateway.handle.drain(Duration::from_millis(300)));
    socket.send(Message::text("still there")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still there"));
    let end = timeout(PATIENCE, socket.next()).await.expect("an end in time");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert_eq!(timeout(PATIENCE, draining).await.unwrap().unwrap().cut, 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_one_clear_error() {
    let service = TestService::echo().await;
    let taken = service.addr;
    let issuer = viscount_chassis::auth::testing::TestIssuer::new();
    let mut config = viscount_gateway::GatewayConfig::new(
        viscount_gateway::Auth::Shared(issuer.verifier()),
        viscount_gateway::Upstreams::none(),
    );
    config.listen = taken;
    let error = viscount_gateway::start(config).await.err().expect("taken").to_string();
    assert!(error.contains(&taken.to_string()) && !error.contains('\n'), "{error}");
}

#[test]
fn it_runs_in_a_local_set_on_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let service = TestService::echo().await;
        let gateway = TestGateway::before(&service).await;
        assert_eq!(gateway.get("/v1/products").await.status(), 200);
        assert_eq!(gateway.handle.drain(PATIENCE).await.cut, 0);
    });
}
