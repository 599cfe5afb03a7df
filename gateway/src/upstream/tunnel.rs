//! An upgraded connection: bytes both ways, one small buffer each, until one side ends, both fall silent, or the
//! gateway closes.
//!
//! Back-pressure is TCP's own: what one side does not read is not read from the other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::server::PhaseWatch;

/// A stream's messages are small, and ten thousand streams each have two of these.
const BUFFERS: (usize, usize) = (1024, 4096);
/// How long the two sides may take to hand over their connections after the 101.
const HANDOVER: Duration = Duration::from_secs(10);

/// Runs a tunnel to its end. `keep` is held until then: the client's place in the connection limit.
pub(crate) async fn run<K>(
    client: OnUpgrade,
    service: OnUpgrade,
    idle: Duration,
    mut phase: PhaseWatch,
    keep: K,
) {
    let Ok(Ok((client, mut service))) = timeout(HANDOVER, async { tokio::try_join!(client, service) })
        .await
        .map(|both| both.map(|(client, service)| (TokioIo::new(client), TokioIo::new(service))))
    else {
        return;
    };
    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Counted { inner: client, moved: moved.clone() };
    tokio::select! {
        result = copy_bidirectional_with_sizes(&mut client, &mut service, BUFFERS.0, BUFFERS.1) => {
            if let Err(error) = result {
                tracing::debug!(%error, "tunnel broke");
            }
        }
        () = silence(&moved, idle) => tracing::debug!("tunnel was silent for too long"),
        () = phase.closed() => {}
    }
    drop(keep);
}

/// Ends when nothing moved for a whole period.
async fn silence(moved: &AtomicU64, idle: Duration) {
    let mut ticks = interval(idle.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        ticks.tick().await;
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

/// Counts what passes, in both directions.
struct Counted {
    inner: TokioIo<Upgraded>,
    moved: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.moved.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &written {
            this.moved.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
