//! A client of an order's websocket.

use futures_util::StreamExt;
use serde_json::Value;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// What one connection has shown.
pub struct Seen {
    /// Versions and states, as they came.
    pub frames: Vec<(i64, String)>,
    /// The server has said that nothing more will come.
    pub ended: bool,
}

/// Watches an order behind this version until the connection ends, or so many frames have come. `None` without a
/// connection.
pub async fn watch(gateway: &str, token: &str, order: &str, after: i64, most: usize) -> Option<Seen> {
    let url = format!("{gateway}/v1/orders/{order}/stream?after={after}").replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
    request.headers_mut().insert("Sec-WebSocket-Protocol", "orders.v1".parse().unwrap());
    let (mut socket, response) = connect_async(request).await.ok()?;
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "orders.v1");
    let mut seen = Seen { frames: Vec::new(), ended: false };
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                let status = event["status"].as_str().unwrap().to_owned();
                seen.frames.push((event["version"].as_i64().unwrap(), status));
                if seen.frames.len() == most {
                    break;
                }
            }
            Message::Close(frame) => seen.ended = frame.is_some_and(|frame| u16::from(frame.code) == 1000),
            _ => {}
        }
    }
    Some(seen)
}
