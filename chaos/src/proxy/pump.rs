//! One direction of one connection.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::AsyncWriteExt,
    net::tcp::{ReadHalf, WriteHalf},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Direction, Weather, link::Link};

/// How much may wait in here; then nothing more is read.
const MOST_WAITING: usize = 256 * 1024;
/// What a piece weighs besides its bytes.
const PIECE: usize = 64;
/// How much is read at once.
const READ: usize = 64 * 1024;
/// A throttled piece is at most this large, and at most so much of a second.
const THROTTLED_PIECE: u64 = 16 * 1024;
const THROTTLED_SHARE: u64 = 20;

thread_local! {
    /// Where bytes are read to. One for all connections of a proxy: an idle one costs no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// The connection was broken by one of its sides.
#[derive(Debug)]
pub(super) struct Broken;

/// Reads on one side and writes on the other.
pub(super) struct Pump<'a> {
    link: &'a Link,
    direction: Direction,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    client_ended: &'a AtomicBool,
    sky: watch::Receiver<Weather>,
    weather: Weather,
    waiting: VecDeque<Piece>,
    weight: usize,
    has_ended: bool,
    /// When so many of the first bytes may go on, under a throttle.
    granted: Option<(Instant, usize)>,
}

/// Bytes and when they are due; no bytes: the end.
struct Piece {
    due: Instant,
    bytes: Bytes,
}

enum Next {
    Weather,
    Read,
    Due,
    Write,
}

impl<'a> Pump<'a> {
    pub fn new(
        link: &'a Link,
        direction: Direction,
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
        client_ended: &'a AtomicBool,
    ) -> Self {
        let mut sky = link.sky.subscribe();
        let weather = *sky.borrow_and_update();
        Self {
            link,
            direction,
            from,
            to,
            client_ended,
            sky,
            weather,
            waiting: VecDeque::new(),
            weight: 0,
            has_ended: false,
            granted: None,
        }
    }

    /// Until its side has ended, and the other side knows.
    pub async fn run(mut self) -> Result<(), Broken> {
        loop {
            let passes = self.weather.carries(self.direction);
            let due = self.due();
            let is_due = due.is_some_and(|due| due <= Instant::now());
            let takes = !self.has_ended && self.weight < MOST_WAITING;
            let next = tokio::select! {
                biased;
                _ = self.sky.changed() => Next::Weather,
                _ = self.to.writable(), if passes && is_due => Next::Write,
                () = until(due), if passes && !is_due && due.is_some() => Next::Due,
                _ = self.from.readable(), if passes && takes => Next::Read,
            };
            match next {
                Next::Weather => self.turn(),
                Next::Due => {}
                Next::Read => self.read().await?,
                Next::Write if self.waiting.front().is_some_and(|piece| piece.bytes.is_empty()) => {
                    // The other side may have gone meanwhile, and needs to be told nothing then.
                    let _ = self.to.shutdown().await;
                    return Ok(());
                }
                Next::Write => self.write().await?,
            }
        }
    }

    /// What waits goes by the new weather.
    fn turn(&mut self) {
        self.weather = *self.sky.borrow_and_update();
        self.granted = None;
        if !matches!(self.weather, Weather::Delay { .. }) {
            let now = Instant::now();
            self.waiting.iter_mut().for_each(|piece| piece.due = piece.due.min(now));
        }
    }

    /// When something is to be written.
    fn due(&mut self) -> Option<Instant> {
        let first = self.waiting.front()?;
        let Weather::Throttle { bytes_per_second } = self.weather else { return Some(first.due) };
        let length = first.bytes.len();
        if length == 0 {
            return Some(first.due);
        }
        let most = (bytes_per_second / THROTTLED_SHARE).clamp(1, THROTTLED_PIECE);
        let (at, _) = *self.granted.get_or_insert_with(|| {
            let piece = length.min(usize::try_from(most).unwrap_or(length));
            (self.link.grant(self.direction, piece, bytes_per_second), piece)
        });
        Some(at)
    }

    async fn read(&mut self) -> Result<(), Broken> {
        let taken = SCRATCH.with_borrow_mut(|scratch| {
            self.from.try_read(scratch).map(|length| Bytes::copy_from_slice(&scratch[..length]))
        });
        match taken {
            Ok(bytes) => {
                if bytes.is_empty() {
                    self.has_ended = true;
                    self.has_heard_the_end();
                }
                let due = self.arrival();
                self.weight += bytes.len() + PIECE;
                self.waiting.push_back(Piece { due, bytes });
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => {
                self.has_heard_the_end();
                // A reset goes the way that bytes go.
                self.link.until_carries(self.direction).await;
                Err(Broken)
            }
        }
    }

    async fn write(&mut self) -> Result<(), Broken> {
        let Some(first) = self.waiting.front_mut() else { return Ok(()) };
        let most = self.granted.map_or(first.bytes.len(), |(_, piece)| piece.min(first.bytes.len()));
        match self.to.try_write(&first.bytes[..most]) {
            Ok(written) => {
                first.bytes.advance(written);
                let is_done = first.bytes.is_empty();
                self.granted = self
                    .granted
                    .and_then(|(at, piece)| (piece > written && !is_done).then_some((at, piece - written)));
                self.weight -= written;
                if is_done {
                    self.waiting.pop_front();
                    self.weight -= PIECE;
                }
                self.link.passed(self.direction, written);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => {
                // The other side has reset the connection, and its reset comes back the other way.
                self.link.until_carries(self.direction.reverse()).await;
                Err(Broken)
            }
        }
    }

    /// When what is read now is due.
    fn arrival(&self) -> Instant {
        let now = Instant::now();
        let Weather::Delay { ms, jitter_ms } = self.weather else { return now };
        let ms = rand::random_range(ms.saturating_sub(jitter_ms)..=ms.saturating_add(jitter_ms));
        let due = now + Duration::from_millis(ms);
        self.waiting.back().map_or(due, |before| before.due.max(due))
    }

    /// A target that ends a connection of its own accord may have ended altogether.
    fn has_heard_the_end(&self) {
        match self.direction {
            Direction::Up => self.client_ended.store(true, Ordering::Relaxed),
            Direction::Down if !self.client_ended.load(Ordering::Relaxed) => self.link.doubt.notify_one(),
            Direction::Down => {}
        }
    }
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        sleep_until(due).await;
    }
}
