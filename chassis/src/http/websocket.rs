//! Websockets (RFC 6455), for servers that talk and clients that listen.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header};
use futures_util::{SinkExt, StreamExt};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::takeover::{TakenOver, take_over};
use crate::metrics::{WEBSOCKET_BYTES_TOTAL, WEBSOCKET_CONNECTIONS, WEBSOCKET_FRAMES_TOTAL};
use crate::problem::Problem;

/// What is read at once. The usual 128 KiB are for clients that have something to say.
const READ: usize = 512;
/// The largest message that a client may send.
const MOST: usize = 4 * 1024;
/// What may wait to be written: one message of ours, and answers to pings.
const MOST_WAITING: usize = 1024 * 1024;
/// How long a slow reader is waited for.
const SEND: Duration = Duration::from_secs(10);
/// How long a client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// An open websocket.
pub struct WebSocket {
    inner: WebSocketStream<TcpStream>,
    figures: Rc<Figures>,
}

/// What websockets of a port count. One per thread that serves.
pub(super) struct Figures {
    open: Gauge,
    frames: [Counter; 2],
    bytes: [Counter; 2],
}

#[derive(Clone, Copy)]
enum Direction {
    In,
    Out,
}

impl Figures {
    pub(super) fn of(service: &'static str) -> Rc<Self> {
        let both = ["in", "out"];
        Rc::new(Self {
            open: gauge!(WEBSOCKET_CONNECTIONS, "service" => service),
            frames: both.map(
                |direction| counter!(WEBSOCKET_FRAMES_TOTAL, "service" => service, "direction" => direction),
            ),
            bytes: both.map(
                |direction| counter!(WEBSOCKET_BYTES_TOTAL, "service" => service, "direction" => direction),
            ),
        })
    }

    fn count(&self, direction: Direction, message: &Message) {
        self.frames[direction as usize].increment(1);
        self.bytes[direction as usize].increment(message.len() as u64);
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.figures.open.decrement(1.0);
    }
}

/// Why a websocket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// All is told (1000).
    Done,
    /// We are going away (1001).
    GoingAway,
    /// The client does not read (1008).
    TooSlow,
    /// It should come again later (1013).
    ComeAgain,
}

/// What was told is not known to have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTold {
    /// The client is gone.
    Gone,
    /// The client does not read.
    TooSlow,
}

/// The client is gone, or wants to go, or does not speak the protocol: there is nothing more to do but to
/// [`close`](WebSocket::close).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Accepts a websocket, with this subprotocol when the client offers it; `run` gets it once the client knows.
pub fn websocket<F, Fut>(
    request: &HttpRequest,
    protocol: &'static str,
    run: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(WebSocket) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let mut answer = actix_http::ws::handshake(request.head())
        .map_err(|refusal| Problem::bad_request(refusal.to_string()))?;
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if offered.any(|offered| offered.trim() == protocol) {
        answer.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    let mut answer = HttpResponse::from(answer.finish()).map_into_boxed_body();
    // Without a port around it (in a test), nobody counts.
    let figures = request.app_data::<Rc<Figures>>().cloned().unwrap_or_else(|| Figures::of("none"));
    take_over(&mut answer, async move |TakenOver { stream, read }: TakenOver| {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(0)
            .max_write_buffer_size(MOST_WAITING)
            .max_message_size(Some(MOST))
            .max_frame_size(Some(MOST));
        let inner = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
        figures.open.increment(1.0);
        run(WebSocket { inner, figures }).await;
    });
    Ok(answer)
}

impl WebSocket {
    /// Until the client says something, whatever it is; pings are answered. Dropping the future loses nothing.
    pub async fn heard(&mut self) -> Result<(), Gone> {
        let heard = self.inner.next().await;
        if let Some(Ok(message)) = &heard {
            self.figures.count(Direction::In, message);
        }
        match heard {
            Some(Ok(Message::Close(_))) | None => Err(Gone),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => {
                let code = match error {
                    Error::Capacity(_) => CloseCode::Size,
                    Error::Protocol(_) | Error::Utf8(_) => CloseCode::Protocol,
                    _ => return Err(Gone),
                };
                self.say(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await.ok();
                Err(Gone)
            }
        }
    }

    /// Sends a text.
    pub async fn tell(&mut self, text: String) -> Result<(), NotTold> {
        self.say(Message::text(text)).await
    }

    /// Asks the client whether it is there.
    pub async fn ping(&mut self) -> Result<(), NotTold> {
        self.say(Message::Ping(Default::default())).await
    }

    async fn say(&mut self, message: Message) -> Result<(), NotTold> {
        self.figures.count(Direction::Out, &message);
        match timeout(SEND, self.inner.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(NotTold::Gone),
            Err(_) => Err(NotTold::TooSlow),
        }
    }

    /// Says goodbye, and waits a moment for the client to do so.
    pub async fn close(mut self, why: Why) {
        let (code, reason) = match why {
            Why::Done => (CloseCode::Normal, ""),
            Why::GoingAway => (CloseCode::Away, "going away"),
            Why::TooSlow => (CloseCode::Policy, "too slow"),
            Why::ComeAgain => (CloseCode::Again, "come again"),
        };
        let goodbye = async {
            // An error means that both have said it already; the rest of it is still to be sent.
            let _ = self.inner.close(Some(CloseFrame { code, reason: reason.into() })).await;
            while let Some(Ok(_)) = self.inner.next().await {}
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }
}
