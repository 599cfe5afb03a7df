//! A stream by websocket.

use futures_util::StreamExt;
use http::{HeaderValue, Request, header};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Error,
        handshake::client::generate_key,
        protocol::{WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    follow::{Closed, End, Opening, problem},
    message::Message,
};

/// The subprotocol.
const PROTOCOL: &str = "orders.v1";
/// Of each stream. The usual 128 KiB are for other work: there are ten thousand of these, and their messages are small.
const BUFFER: usize = 512;
/// The largest message: an order of a thousand lines.
const MOST: usize = 1024 * 1024;

/// An open stream.
pub struct Socket {
    inner: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens one.
    pub async fn open(opening: &Opening<'_>) -> Result<Self, Closed> {
        let stream = opening.target.connect().await.map_err(|error| Closed::Broken(error.reason()))?;
        let authority = opening.target.authority();
        let request = Request::get(format!(
            "ws://{authority}/v1/orders/{}/stream?after={}",
            opening.order, opening.after
        ))
        .header(header::HOST, opening.target.host())
        .header(header::AUTHORIZATION, opening.bearer.clone())
        .header(header::CONNECTION, HeaderValue::from_static("upgrade"))
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .header(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL))
        .body(())
        .map_err(|error| Closed::Broken(error.to_string()))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MOST))
            .max_frame_size(Some(MOST));
        // The library refuses an answer without the subprotocol that was asked for.
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((inner, _)) => Ok(Self { inner }),
            Err(Error::Http(response)) => {
                let (head, body) = response.into_parts();
                Err(problem(head.status, &head.headers, &body.unwrap_or_default()))
            }
            Err(error) => Err(Closed::Broken(reason(&error))),
        }
    }

    /// The next message, or how it ended.
    pub async fn next(&mut self) -> Result<Message, End> {
        loop {
            match self.inner.next().await {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    return serde_json::from_str(&text).map_err(|_| End::Unreadable);
                }
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    // Answered, and that is the end: however long the server keeps the connection.
                    let _ = self.inner.close(None).await;
                    return Err(ended(frame.map(|frame| frame.code)));
                }
                // The library answers pings by itself.
                Some(Ok(tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_))) => {}
                Some(Ok(tungstenite::Message::Binary(_) | tungstenite::Message::Frame(_))) => {
                    return Err(End::Unreadable);
                }
                Some(Err(Error::ConnectionClosed)) | None => return Err(ended(None)),
                Some(Err(error)) => return Err(End::Broken(reason(&error))),
            }
        }
    }
}

/// What the close code says.
fn ended(code: Option<CloseCode>) -> End {
    match code {
        Some(CloseCode::Normal) => End::Over,
        // Come again, or the server goes away.
        Some(CloseCode::Again | CloseCode::Away | CloseCode::Restart) => {
            End::Broken("the server said to come again".to_owned())
        }
        Some(_) => End::Code,
        None => End::Broken("the connection ended without a close frame".to_owned()),
    }
}

/// In words that do not differ from one stream to the next.
fn reason(error: &Error) -> String {
    match error {
        Error::Io(error) => format!("the connection broke ({})", error.kind()),
        other => other.to_string(),
    }
}
