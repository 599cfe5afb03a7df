//! Each order live: gapless, without a repeat, from any version on.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use viscount_chassis::testing::run;
use viscount_contracts::OrderId;

use crate::app::TestApp;

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn watch(app: &TestApp, id: OrderId, query: &str, with_token: bool) -> Socket {
    let url = app.url(&format!("/v1/orders/{id}/stream{query}")).replace("http://", "ws://");
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "orders.v1".parse().unwrap());
    if with_token {
        let token = format!("Bearer {}", app.token(app.buyer));
        request.headers_mut().insert("Authorization", token.parse().unwrap());
    }
    let (socket, response) = connect_async(request).await.unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "orders.v1");
    socket
}

/// The next event's version and status; `None` after a normal close.
async fn next(socket: &mut Socket) -> Option<(i64, String)> {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                return Some((
                    event["version"].as_i64().unwrap(),
                    event["status"].as_str().unwrap().to_owned(),
                ));
            }
            Message::Close(frame) => {
                assert_eq!(u16::from(frame.unwrap().code), 1000);
                return None;
            }
            _ => {}
        }
    }
}

/// The code with which the server closes.
async fn closed_with(socket: &mut Socket) -> u16 {
    loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            return frame.unwrap().code.into();
        }
    }
}

async fn rest(socket: &mut Socket) -> Vec<(i64, String)> {
    let mut events = Vec::new();
    while let Some(event) = next(socket).await {
        events.push(event);
    }
    events
}

fn story(from: i64) -> Vec<(i64, String)> {
    let all = ["created", "validated", "paid", "completed"];
    (1..).zip(all.map(str::to_owned)).filter(|(version, _)| *version >= from).collect()
}

#[test]
fn a_websocket_tells_the_past_then_what_happens_then_closes() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let mut socket = watch(&app, id, "", true).await;
        assert_eq!(next(&mut socket).await.unwrap(), (1, "created".to_owned()));
        app.reserved(id).await;
        assert_eq!(next(&mut socket).await.unwrap(), (2, "validated".to_owned()));
        let mut late = watch(&app, id, "?after=1", true).await;
        app.paid(id, 2_100).await;
        assert_eq!(rest(&mut socket).await, story(3));
        assert_eq!(rest(&mut late).await, story(2));
        assert_eq!(rest(&mut watch(&app, id, "?after=3", true).await).await, story(4));
        assert_eq!(rest(&mut watch(&app, id, "?after=4", true).await).await, []);
    });
}

#[test]
fn a_ticket_admits_once() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let path = format!("/v1/orders/{id}/stream-ticket");
        let body: Value =
            app.post(&path, &app.token(app.buyer), "-", &Value::Null).await.json().await.unwrap();
        let ticket = body["ticket"].as_str().unwrap();
        let mut socket = watch(&app, id, &format!("?ticket={ticket}"), false).await;
        assert_eq!(next(&mut socket).await.unwrap().0, 1);
        socket.send(Message::Close(None)).await.unwrap();
        let again =
            app.http.get(app.url(&format!("/v1/orders/{id}/stream?ticket={ticket}"))).send().await.unwrap();
        assert_eq!(again.status(), 401);
    });
}

#[test]
fn server_sent_events_resume_behind_the_last_event_id() {
    run(async {
        let app = TestApp::start().await;
        let id = app.completed(1).await;
        let events = |after: &'static str| {
            let url = app.url(&format!("/v1/orders/{id}/stream"));
            let request =
                app.http.get(url).bearer_auth(app.token(app.buyer)).header("Accept", "text/event-stream");
            async move { request.header("Last-Event-ID", after).send().await.unwrap() }
        };
        let text = events("2").await.text().await.unwrap();
        let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids, ["3", "4"]);
        assert_eq!(events("4").await.status(), 204);
        assert_eq!(events("x").await.status(), 400);
    });
}

#[test]
fn open_streams_are_told_that_the_service_goes_away() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let mut socket = watch(&app, id, "", true).await;
        assert_eq!(next(&mut socket).await.unwrap().0, 1);
        let url = app.url(&format!("/v1/orders/{id}/stream"));
        let request =
            app.http.get(url).bearer_auth(app.token(app.buyer)).header("Accept", "text/event-stream");
        let events = request.send().await.unwrap();
        app.running.http.close_streams();
        assert_eq!(closed_with(&mut socket).await, 1001);
        assert!(events.text().await.unwrap().starts_with("id: 1\n"), "it ends, and in good order");
        // One that comes late is told, too; everything else goes on.
        assert_eq!(closed_with(&mut watch(&app, id, "?after=1", true).await).await, 1001);
        assert_eq!(app.show(id).await["status"], "created");
    });
}

#[test]
fn a_stop_waits_for_streams_to_close() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let mut socket = watch(&app, id, "", true).await;
        assert_eq!(next(&mut socket).await.unwrap().0, 1);
        let stopping = app.running.drain(std::time::Duration::from_secs(30));
        let (_, code) = tokio::join!(stopping, async { closed_with(&mut socket).await });
        assert_eq!(code, 1001);
    });
}

#[test]
fn a_refused_websocket_is_a_problem_like_any_other() {
    run(async {
        let app = TestApp::start().await;
        let unknown = OrderId::new();
        let url = app.url(&format!("/v1/orders/{unknown}/stream")).replace("http://", "ws://");
        let mut request = url.into_client_request().unwrap();
        let token = format!("Bearer {}", app.token(app.buyer));
        request.headers_mut().insert("Authorization", token.parse().unwrap());
        let Err(Error::Http(answer)) = connect_async(request).await else { panic!("let in") };
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["Content-Type"], "application/problem+json");
        assert_eq!(answer.headers()["Connection"], "close");
        let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap()).unwrap();
        assert_eq!(problem["type"], "/problems/not-found");
    });
}

#[test]
fn a_client_that_says_too_much_is_told_so() {
    run(async {
        let app = TestApp::start().await;
        let id = app.order(1).await;
        let mut socket = watch(&app, id, "", true).await;
        assert_eq!(next(&mut socket).await.unwrap().0, 1);
        socket.send(Message::text("x".repeat(4 * 1024 + 1))).await.unwrap();
        assert_eq!(closed_with(&mut socket).await, 1009);
    });
}
