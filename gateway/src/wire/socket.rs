//! A client's socket: what is read passes the framing scanner, and a write that the client does not take fails in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::FramingScanner;

/// What the socket tells the handlers of its requests, and they tell it.
#[derive(Debug)]
pub(crate) struct SocketNotes {
    /// The number of the first request that must be refused; `u64::MAX` while there is none.
    refused_from: AtomicU64,
    upgraded: AtomicBool,
}

impl SocketNotes {
    pub(crate) fn new() -> Self {
        SocketNotes { refused_from: AtomicU64::new(u64::MAX), upgraded: AtomicBool::new(false) }
    }

    /// Whether request `number` (from 0) has a length that could be read two ways, or follows one that has.
    pub(crate) fn is_ambiguous(&self, number: u64) -> bool {
        number >= self.refused_from.load(Ordering::Acquire)
    }

    /// From here on the bytes are no longer HTTP.
    pub(crate) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }
}

/// A TCP stream between a client and hyper.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    stream: TcpStream,
    scanner: Option<Box<FramingScanner>>,
    notes: Arc<SocketNotes>,
    write_stall: Duration,
    /// Set while a write waits for the client.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl ClientSocket {
    pub(crate) fn new(stream: TcpStream, notes: Arc<SocketNotes>, write_stall: Duration) -> Self {
        let scanner = Some(Box::new(FramingScanner::new()));
        ClientSocket { stream, scanner, notes, write_stall, stalled: None }
    }

    fn scan(&mut self, bytes: &[u8]) {
        if let Some(number) = self.scanner.as_mut().and_then(|scanner| scanner.feed(bytes)) {
            self.notes.refused_from.store(number, Ordering::Release);
        }
    }

    fn watch_stall<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write_stall = self.write_stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + write_stall)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "client does not read")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Freed on upgrade: ten thousand quiet streams should not each hold one.
        if this.scanner.is_some() && this.notes.upgraded.load(Ordering::Acquire) {
            this.scanner = None;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if this.scanner.is_some() && buf.filled().len() > before {
            this.scan(&buf.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch_stall(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch_stall(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
