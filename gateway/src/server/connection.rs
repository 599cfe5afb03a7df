//! One client connection: hyper between the client's socket and the door.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::{Phase, PhaseWatch};
use crate::config::ClientConfig;
use crate::door::Door;
use crate::metrics::Held;
use crate::wire::socket::{ClientSocket, SocketNotes};

/// A place in the connection limit, and its count.
pub(super) type Place = (OwnedSemaphorePermit, Held);

/// The other side of a connection, as its requests' handlers see it.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The same as text, for `X-Forwarded-For`.
    pub(crate) address_text: HeaderValue,
    pub(crate) notes: Arc<SocketNotes>,
    requests: AtomicU64,
    /// Held by the connection and by every tunnel that grows out of it.
    _place: Place,
}

impl Peer {
    /// The number of the request that begins now.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

pub(super) async fn serve(
    stream: TcpStream,
    addr: SocketAddr,
    door: Arc<Door>,
    config: ClientConfig,
    mut phase: PhaseWatch,
    place: Place,
) {
    let _ = stream.set_nodelay(true);
    let notes = Arc::new(SocketNotes::new());
    let address = addr.ip().to_canonical();
    let peer = Arc::new(Peer {
        address,
        address_text: HeaderValue::try_from(address.to_string())
            .unwrap_or(HeaderValue::from_static("unknown")),
        notes: notes.clone(),
        requests: AtomicU64::new(0),
        _place: place,
    });
    let io = TokioIo::new(ClientSocket::new(stream, notes, config.write_stall));
    let service = service_fn(move |request| {
        let (door, peer) = (door.clone(), peer.clone());
        async move { Ok::<_, Infallible>(door.answer(peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_read)
        // Our own limit on header fields is lower; this bounds the buffer.
        .max_buf_size(64 * 1024)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return log_end(result),
        () = phase.reached(Phase::Draining) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        result = connection.as_mut() => log_end(result),
        () = phase.closed() => {}
    }
}

fn log_end(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection broke");
    }
}
