//! An order's stream through the gateway, across reconnects and a kill.

use futures_util::StreamExt;
use serde_json::Value;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use uuid::Uuid;

use crate::platform::{Platform, basket, block_on, eventually};

async fn watch(
    platform: &Platform,
    token: &str,
    order: &str,
    after: i64,
    most: usize,
) -> Option<Vec<(i64, String)>> {
    let url = format!("{}/v1/orders/{order}/stream?after={after}", platform.url).replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
    request.headers_mut().insert("Sec-WebSocket-Protocol", "orders.v1".parse().unwrap());
    let (mut socket, response) = connect_async(request).await.ok()?;
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "orders.v1");
    let mut seen = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                seen.push((event["version"].as_i64().unwrap(), event["status"].as_str().unwrap().to_owned()));
                if seen.len() == most {
                    break;
                }
            }
            Message::Close(frame) => assert_eq!(u16::from(frame.unwrap().code), 1000),
            _ => {}
        }
    }
    Some(seen)
}

fn story() -> Vec<(i64, String)> {
    (1..).zip(["created", "validated", "paid", "completed"].map(str::to_owned)).collect()
}

#[test]
fn a_stream_goes_on_without_a_gap_or_a_repeat_after_a_reconnect_and_after_a_kill() {
    block_on(async {
        let mut platform = Platform::start().await;
        let admin = platform.token("admin").await;
        let product = platform.product(&admin, 100).await;
        let buyer = platform.token("customer").await;
        let place = async |platform: &Platform, token: &str| -> String {
            let mut order = basket(&product, 1);
            order["payment"]["token"] = token.into();
            let key = Uuid::now_v7().to_string();
            let placed = platform.post("/v1/orders", &buyer, &key, &order).await.unwrap();
            placed.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
        };

        let order = place(&platform, "tok_visa").await;
        let mut seen = watch(&platform, &buyer, &order, 0, 2).await.unwrap();
        seen.extend(watch(&platform, &buyer, &order, 2, usize::MAX).await.unwrap());
        assert_eq!(seen, story());

        // The slow payment is under way when the process is killed.
        let order = place(&platform, "tok_slow").await;
        let mut seen = watch(&platform, &buyer, &order, 0, 2).await.unwrap();
        platform.kill();
        platform.start_again().await;
        let last = seen.last().unwrap().0;
        let rest =
            eventually("the rest of the story", || watch(&platform, &buyer, &order, last, usize::MAX)).await;
        seen.extend(rest);
        assert_eq!(seen, story());

        let sse = platform.http.get(format!("{}/v1/orders/{order}/stream", platform.url)).bearer_auth(&buyer);
        let sse =
            sse.header("Accept", "text/event-stream").header("Last-Event-ID", "1").send().await.unwrap();
        assert_eq!(sse.headers()["Content-Type"], "text/event-stream");
        let text = sse.text().await.unwrap();
        let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids, ["2", "3", "4"]);
    });
}
