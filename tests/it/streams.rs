//! An order's stream through the gateway, across reconnects and a kill.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    platform::{Platform, basket, block_on, eventually},
    sockets::watch,
};

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
        let mut seen = watch(&platform.url, &buyer, &order, 0, 2).await.unwrap().frames;
        let rest = watch(&platform.url, &buyer, &order, 2, usize::MAX).await.unwrap();
        assert!(rest.ended);
        seen.extend(rest.frames);
        assert_eq!(seen, story());

        // The slow payment is under way when the process is killed.
        let order = place(&platform, "tok_slow").await;
        let mut seen = watch(&platform.url, &buyer, &order, 0, 2).await.unwrap().frames;
        platform.kill();
        platform.start_again().await;
        let last = seen.last().unwrap().0;
        let url = platform.url.as_str();
        let rest = eventually("the rest of the story", || watch(url, &buyer, &order, last, usize::MAX)).await;
        assert!(rest.ended);
        seen.extend(rest.frames);
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
