//! A small platform in this process: answers as it is told, breaks off, stalls, and tells streams by a script.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role},
    },
};

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub key: Option<String>,
    pub bearer: String,
    pub body: Vec<u8>,
}

/// What is done with a request.
pub enum Reply {
    /// Status, further headers, body.
    Json(u16, Vec<(&'static str, &'static str)>, Value),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Stall,
}

/// What is done on a stream.
#[derive(Debug, Clone)]
pub enum Act {
    /// The message of this version, with this status.
    Tell(u64, &'static str),
    /// This text.
    Text(&'static str),
    /// Closed with this code.
    Close(u16),
    /// Broken off.
    Break,
    /// Not opened.
    Refuse(u16),
    /// Nothing more, for ever.
    Hang,
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

pub struct Server {
    pub door: String,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// What each next stream does; when there is none left: versions up to 4, then all is told.
    pub streams: Arc<Mutex<VecDeque<Vec<Act>>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = format!("http://{}", listener.local_addr().unwrap());
        let (seen, streams) =
            (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<Mutex<VecDeque<Vec<Act>>>>::default());
        let (handler, log, scripts): (Arc<Handler>, _, _) =
            (Arc::new(handler), seen.clone(), streams.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, handler.clone(), log.clone(), scripts.clone()));
            }
        });
        Self { door, seen, streams, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn script(&self, acts: &[Act]) {
        self.streams.lock().unwrap().push_back(acts.to_vec());
    }
}

async fn serve(
    mut socket: TcpStream,
    handler: Arc<Handler>,
    log: Arc<Mutex<Vec<Seen>>>,
    scripts: Arc<Mutex<VecDeque<Vec<Act>>>>,
) -> Option<()> {
    let (head, body) = read(&mut socket).await?;
    let header = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let bearer = header("authorization").unwrap_or_default();
    let seen = Seen { method, path, key: header("idempotency-key"), bearer, body };
    log.lock().unwrap().push(seen.clone());
    if let Some(key) = header("sec-websocket-key") {
        // The handler hears of it; what happens is in the script.
        handler(&seen);
        let after: u64 = seen.path.split_once("after=")?.1.parse().ok()?;
        let script = scripts.lock().unwrap().pop_front();
        let statuses = ["created", "validated", "paid", "completed"];
        let story = || {
            let left = (1..).zip(statuses).filter(|(version, _)| *version > after);
            left.map(|(version, status)| Act::Tell(version, status)).chain([Act::Close(1000)]).collect()
        };
        return tell(socket, &key, script.unwrap_or_else(story)).await;
    }
    match handler(&seen) {
        Reply::Stall => std::future::pending().await,
        Reply::Raw(bytes) => socket.write_all(&bytes).await.ok()?,
        Reply::Json(status, headers, body) => {
            let body = if status == 204 { String::new() } else { body.to_string() };
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let answer = format!(
                "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await.ok()?;
        }
    }
    socket.shutdown().await.ok()
}

async fn read(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let (end, length) = loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            break (end + 4, length.unwrap_or(0));
        }
    };
    while bytes.len() < end + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = bytes.split_off(end);
    Some((String::from_utf8(bytes).ok()?, body))
}

async fn tell(mut socket: TcpStream, key: &str, acts: Vec<Act>) -> Option<()> {
    if let Some(Act::Refuse(status)) = acts.first() {
        let refusal = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return socket.write_all(refusal.as_bytes()).await.ok();
    }
    let accept = derive_accept_key(key.as_bytes());
    let opening = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\nsec-websocket-protocol: orders.v1\r\n\r\n"
    );
    socket.write_all(opening.as_bytes()).await.ok()?;
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    for act in acts {
        match act {
            Act::Tell(version, status) => {
                let message = json!({"order_id": "00000000-0000-7000-8000-000000000001", "version": version,
                    "type": format!("Order{version}"), "status": status,
                    "occurred_at": "2026-01-01T00:00:00Z", "data": {}});
                socket.send(Message::text(message.to_string())).await.ok()?;
            }
            Act::Text(text) => socket.send(Message::text(text)).await.ok()?,
            Act::Close(code) => {
                let frame = CloseFrame { code: code.into(), reason: "".into() };
                socket.close(Some(frame)).await.ok()?;
            }
            Act::Break => return None,
            Act::Hang => std::future::pending().await,
            Act::Refuse(_) => unreachable!("a stream that is open cannot be refused"),
        }
    }
    // Until the client has taken leave.
    let _ =
        tokio::time::timeout(std::time::Duration::from_secs(5), socket.get_mut().read(&mut [0; 64])).await;
    Some(())
}
