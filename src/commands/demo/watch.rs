//! Watching an order over the websocket.

use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::{Paint, shop::Shop};
use crate::failure::Failure;

/// The longest that a demo order is silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// One message of a stream.
pub struct Seen {
    /// The event's version.
    pub version: i64,
    /// The order's status after it.
    pub status: String,
}

/// The order's story from behind `after` on, until the server closes. Each event is printed as it comes.
pub async fn watch<'a>(
    shop: &Shop,
    order: &str,
    after: i64,
    since: Instant,
    paint: &'a Paint,
) -> Result<impl Stream<Item = Result<Seen, Failure>> + Unpin + use<'a>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::doing("the order's websocket", error);
    let mut request = shop.stream_url(order, after).into_client_request().map_err(|error| failed(&error))?;
    let bearer = format!("Bearer {}", shop.token());
    let bearer = HeaderValue::try_from(bearer).map_err(|error| failed(&error))?;
    request.headers_mut().insert("Authorization", bearer);
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("orders.v1"));
    let (socket, _) = connect_async(request).await.map_err(|error| failed(&error))?;
    Ok(Box::pin(stream::unfold(socket, move |mut socket| async move {
        loop {
            let failed = |error: &dyn std::fmt::Display| Err(Failure::doing("the order's websocket", error));
            let seen = match tokio::time::timeout(PATIENCE, socket.next()).await {
                Err(_) => failed(&"nothing came in time"),
                Ok(None | Some(Ok(Message::Close(_)))) => return None,
                Ok(Some(Err(error))) => failed(&error),
                Ok(Some(Ok(Message::Text(text)))) => read(&text, since, paint),
                Ok(Some(Ok(_))) => continue,
            };
            return Some((seen, socket));
        }
    })))
}

fn read(text: &str, since: Instant, paint: &Paint) -> Result<Seen, Failure> {
    let event: Value =
        serde_json::from_str(text).map_err(|error| Failure::doing("the order's websocket", error))?;
    let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let (version, status) = (event["version"].as_i64().unwrap_or_default(), field("status"));
    let millis = since.elapsed().as_secs_f64() * 1e3;
    println!("  {version:>2}  {}  {:<22} {millis:>8.1} ms", paint.status(&status), field("type"));
    Ok(Seen { version, status })
}
