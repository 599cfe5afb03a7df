//! An upgraded connection: bytes both ways, until one side ends, both fall silent, or the gateway closes.
//!
//! A quiet tunnel holds no buffer: bytes are read into one of the thread's own, and written on at once. Only what the
//! other side does not take is kept, and nothing more is read before it has: back-pressure is TCP's own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::server::PhaseWatch;

/// The most that is read at once, and so the most that one direction of a tunnel keeps for a slow reader: a stream's
/// messages are small, and there are ten thousand streams.
const CHUNK: usize = 4096;
/// How long the two sides may take to hand over their connections after the 101.
const HANDOVER: Duration = Duration::from_secs(10);

thread_local! {
    /// What every tunnel of this thread reads into.
    static SCRATCH: RefCell<[u8; CHUNK]> = const { RefCell::new([0; CHUNK]) };
}

/// Runs a tunnel to its end. `keep` is held until then: the client's place in the connection limit.
pub(crate) async fn run<K>(
    client: OnUpgrade,
    service: OnUpgrade,
    idle: Duration,
    mut phase: PhaseWatch,
    keep: K,
) {
    let Ok(Ok((client, service))) = timeout(HANDOVER, async { tokio::try_join!(client, service) })
        .await
        .map(|both| both.map(|(client, service)| (TokioIo::new(client), TokioIo::new(service))))
    else {
        return;
    };
    let moved = AtomicU64::new(0);
    tokio::select! {
        result = pass_both_ways(client, service, &moved) => {
            if let Err(error) = result {
                tracing::debug!(%error, "tunnel broke");
            }
        }
        () = silence(&moved, idle) => tracing::debug!("tunnel was silent for too long"),
        () = phase.closed() => {}
    }
    drop(keep);
}

/// Ends when both sides have said all, or one of them broke.
async fn pass_both_ways<A, B>(mut client: A, mut service: B, moved: &AtomicU64) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Way::default(), Way::default());
    poll_fn(|cx| {
        let up = up.poll(cx, &mut client, &mut service, moved)?;
        let down = down.poll(cx, &mut service, &mut client, moved)?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Read, and not taken by the other side yet. Empty, and without memory, nearly always.
    kept: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    unflushed: bool,
    state: State,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The one side has ended; the other one is to be told so.
    Ended,
    Told,
}

impl Way {
    /// Ready when the one side has ended and the other one knows.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_write_kept(cx, writer, moved))?;
            match self.state {
                State::Open => match self.poll_pass(cx, reader, writer, moved)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                },
                State::Ended => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.state = State::Told;
                }
                State::Told => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads once and writes what it can of it; the rest is kept.
    fn poll_pass<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(reader).poll_read(cx, &mut buffer))?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                self.state = State::Ended;
                return Poll::Ready(Ok(()));
            }
            moved.fetch_add(1, Ordering::Relaxed);
            let taken = match Pin::new(writer).poll_write(cx, bytes)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(taken) => taken,
                Poll::Pending => 0,
            };
            self.unflushed = true;
            self.kept.extend_from_slice(&bytes[taken..]);
            Poll::Ready(Ok(()))
        })
    }

    fn poll_write_kept<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        while self.taken < self.kept.len() {
            let taken = ready!(Pin::new(&mut *writer).poll_write(cx, &self.kept[self.taken..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            moved.fetch_add(1, Ordering::Relaxed);
            self.taken += taken;
        }
        if self.taken > 0 {
            (self.kept, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_byte_passes_in_order_through_narrow_pipes_both_ways() {
        let ((mut here, client), (mut there, service)) = (duplex(37), duplex(5));
        let tunnel = tokio::spawn(async move {
            let moved = AtomicU64::new(0);
            pass_both_ways(client, service, &moved).await
        });
        let sent: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        let (to, back) = (sent.clone(), sent.iter().rev().copied().collect::<Vec<_>>());
        let (expected_there, expected_here) = (to.clone(), back.clone());
        let client = tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(&mut here);
            let mut got = Vec::new();
            let write = async {
                writer.write_all(&to).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            tokio::join!(write, async { reader.read_to_end(&mut got).await.unwrap() });
            got
        });
        let (mut reader, mut writer) = tokio::io::split(&mut there);
        let mut got = Vec::new();
        let write = async {
            writer.write_all(&back).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        tokio::join!(write, async { reader.read_to_end(&mut got).await.unwrap() });
        assert!(got == expected_there);
        assert!(client.await.unwrap() == expected_here);
        tunnel.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_not_read() {
        let ((mut here, client), (_there, service)) = (duplex(1024 * 1024), duplex(1));
        let tunnel = async move {
            let moved = AtomicU64::new(0);
            pass_both_ways(client, service, &moved).await
        };
        let tunnel = tokio::spawn(tunnel);
        let mut written = 0;
        while let Ok(taken) = timeout(Duration::from_secs(1), here.write(&[1; 64 * 1024])).await {
            written += taken.unwrap();
        }
        // The pipe to the tunnel, what it keeps, and the byte in the pipe behind it.
        assert!(written <= 1024 * 1024 + CHUNK + 1, "{written}");
        tunnel.abort();
    }
}
