//! Takes connections, as many as allowed. One more is told so, not left waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::{Phase, PhaseWatch, StartError, connection};
use crate::config::ClientConfig;
use crate::door::Door;
use crate::metrics::{CONNECTIONS, CONNECTIONS_REFUSED_TOTAL, Held};
use crate::wire::trail::new_request_id;

/// Connections the kernel may hold for us while we are busy.
const BACKLOG: u32 = 4096;
/// After a failed accept (no file descriptors left): long enough not to spin, short enough not to be noticed.
const BREATH: Duration = Duration::from_millis(20);
/// Refused connections that may be seen off at once; beyond that they are just closed.
const MAX_FAREWELLS: usize = 64;
/// How long one is seen off.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) fn bind(addr: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the connections of the last run to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| StartError::Listen { addr, error })
}

/// Accepts until draining begins.
pub(super) async fn accept(
    listener: TcpListener,
    door: Arc<Door>,
    connections: Arc<Semaphore>,
    config: ClientConfig,
    mut phase: PhaseWatch,
) {
    let (open, refused) = (gauge!(CONNECTIONS), counter!(CONNECTIONS_REFUSED_TOTAL));
    let farewells = Arc::new(Semaphore::new(MAX_FAREWELLS));
    let watch = phase.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = phase.reached(Phase::Draining) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, addr)) => match connections.clone().try_acquire_owned() {
                Ok(place) => {
                    let held = (place, Held::new(&open));
                    tokio::spawn(connection::serve(
                        stream,
                        addr,
                        door.clone(),
                        config.clone(),
                        watch.clone(),
                        held,
                    ));
                }
                Err(_) => {
                    refused.increment(1);
                    if let Ok(farewell) = farewells.clone().try_acquire_owned() {
                        tokio::spawn(turn_away(stream, farewell));
                    }
                }
            },
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(BREATH).await;
            }
        }
    }
}

/// Answers 503 and reads what the client still sends: a socket closed with unread bytes is reset, and the reset
/// overtakes the answer.
async fn turn_away(mut stream: TcpStream, _farewell: OwnedSemaphorePermit) {
    let body = r#"{"type":"/problems/overloaded","title":"Too many connections","status":503}"#;
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\nx-request-id: {}\r\n\r\n{body}",
        body.len(),
        new_request_id().to_str().unwrap_or_default(),
    );
    let _ = timeout(FAREWELL, async {
        stream.write_all(head.as_bytes()).await?;
        stream.shutdown().await?;
        let mut scrap = [0; 1024];
        while stream.read(&mut scrap).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
