//! One connection to an order's live stream: a websocket (RFC 6455) with the subprotocol `orders.v1`.

use std::{net::SocketAddr, time::Duration};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::Request,
        http::{HeaderValue, header::AUTHORIZATION},
        protocol::WebSocketConfig,
    },
};
use uuid::Uuid;

use super::book::Status;
use crate::history::{NOT_OPENED, Opened, Recorder, StreamEnd};

/// How long a connection and its handshake may take.
const OPENING: Duration = Duration::from_secs(10);
/// A server asks every 30 s whether its client is there. When nothing came for so long, the connection is dead.
const SILENCE: Duration = Duration::from_secs(75);
/// How long a server may take to take leave.
const LEAVE: Duration = Duration::from_secs(1);
/// RFC 6455, section 7.4.1: all is told.
const NORMAL: u16 = 1000;
/// RFC 6455, section 7.4.1: no code was sent.
const NO_CODE: u16 = 1005;
/// Small: there may be ten thousand of them.
const BUFFER: usize = 4 * 1024;
/// No message is longer.
const LONGEST: usize = 1024 * 1024;
/// What the kernel keeps for a slow reader, so that it is the platform that has to wait; Linux doubles it.
const SLOW_BUFFER: u32 = 2 * 1024;

/// What to watch, and how.
#[derive(Debug, Clone)]
pub struct Watch<'a> {
    /// Who watches.
    pub client: u32,
    /// Where, such as `http://127.0.0.1:8080`.
    pub door: &'a str,
    /// The token.
    pub bearer: &'a str,
    /// Which order.
    pub order: Uuid,
    /// Only what comes behind this version.
    pub after: u64,
    /// The client breaks the connection after so many messages.
    pub leave_after: Option<usize>,
    /// The client reads nothing for so long after each message.
    pub pause: Option<Duration>,
}

/// How a connection ended, and how far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// As it is recorded.
    pub end: StreamEnd,
    /// The last version seen, or what was asked for.
    pub seen: u64,
    /// The order's status in the last message.
    pub status: Option<Status>,
}

/// Watches until the connection ends; it is recorded.
pub async fn watch(recorder: &Recorder, watch: Watch<'_>) -> Watched {
    let mut opened = recorder.stream(watch.client, watch.order, watch.after);
    let mut status = None;
    let end = match timeout(OPENING, connect(&watch)).await {
        Err(_) => StreamEnd::Broken { why: format!("{NOT_OPENED} in time") },
        Ok(Err(Error::Http(response))) => StreamEnd::Refused { status: response.status().as_u16() },
        Ok(Err(error)) => StreamEnd::Broken { why: format!("{NOT_OPENED}: {error}") },
        Ok(Ok(socket)) => {
            opened.established();
            listen(socket, &watch, &mut opened, &mut status).await
        }
    };
    let seen = opened.seen();
    opened.ended(end.clone()).await;
    Watched { end, seen, status }
}

async fn connect(watch: &Watch<'_>) -> Result<WebSocketStream<TcpStream>, Error> {
    let authority = watch.door.strip_prefix("http://").unwrap_or(watch.door);
    let socket = tcp(authority, watch.pause.is_some()).await.map_err(Error::Io)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let (socket, _) = client_async_with_config(request(watch, authority)?, socket, Some(config)).await?;
    Ok(socket)
}

fn request(watch: &Watch<'_>, authority: &str) -> Result<Request, Error> {
    let Watch { order, after, bearer, .. } = watch;
    let mut request =
        format!("ws://{authority}/v1/orders/{order}/stream?after={after}").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {bearer}"))?);
    headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("orders.v1"));
    Ok(request)
}

async fn tcp(authority: &str, slow: bool) -> std::io::Result<TcpStream> {
    let addresses = lookup_host(authority).await?;
    let mut failed = std::io::Error::other("the door has no address");
    for address in addresses {
        match tcp_to(address, slow).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn tcp_to(address: SocketAddr, slow: bool) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if slow {
        socket.set_recv_buffer_size(SLOW_BUFFER)?;
    }
    socket.connect(address).await
}

async fn listen(
    mut socket: WebSocketStream<TcpStream>,
    watch: &Watch<'_>,
    opened: &mut Opened,
    status: &mut Option<Status>,
) -> StreamEnd {
    let broken = |why: String| StreamEnd::Broken { why };
    loop {
        let text = match timeout(SILENCE, socket.next()).await {
            Err(_) => return broken("nothing came for too long".to_owned()),
            Ok(None) => return broken("ended without a word".to_owned()),
            Ok(Some(Err(error))) => return broken(error.to_string()),
            Ok(Some(Ok(Message::Text(text)))) => text,
            Ok(Some(Ok(Message::Close(frame)))) => {
                // Its answer goes out while the end is read.
                let _ = timeout(LEAVE, socket.next()).await;
                return match frame.map_or(NO_CODE, |frame| frame.code.into()) {
                    NORMAL => StreamEnd::Settled,
                    code => StreamEnd::Closed { code },
                };
            }
            Ok(Some(Ok(Message::Binary(_)))) => return broken("a message that is not a text".to_owned()),
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => continue,
        };
        let Some((version, kind, body)) = read(&text) else {
            return broken("a message that cannot be read".to_owned());
        };
        *status = Status::of(&body).or(*status);
        opened.frame(version, kind, body);
        if watch.leave_after.is_some_and(|most| opened.frames() >= most) {
            // Without a word, as a phone in a tunnel does.
            return broken("left by the client".to_owned());
        }
        if let Some(pause) = watch.pause {
            sleep(pause).await;
        }
    }
}

/// Version and type of a message: `{order_id, version, type, status, occurred_at, data}`.
fn read(text: &str) -> Option<(u64, String, Value)> {
    let body: Value = serde_json::from_str(text).ok()?;
    let (version, kind) = (body.get("version")?.as_u64()?, body.get("type")?.as_str()?.to_owned());
    Some((version, kind, body))
}
