//! Takes down what clients do, and hands it to the writer.
//!
//! Nothing is dropped: when the writer is behind, clients wait. What is under way when a client is given up (its future is
//! dropped) is written as unknown when the history is closed.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    Call, Frame, HistoryError, Line, Operation, Outcome, Quantiles, Second, Stream, StreamEnd,
    timeline::Timeline, writer,
};

/// Why nothing is known of what was under way when its client was given up.
pub const GIVEN_UP: &str = "given up";
/// Lines that may wait for the writer.
const WAITING: usize = 1_024;

/// Writes a history. Cheap to clone.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    path: PathBuf,
    next: AtomicU64,
    /// `None` once the history is closed.
    lines: Mutex<Option<mpsc::Sender<Line>>>,
    writer: Mutex<Option<JoinHandle<std::io::Result<u64>>>>,
    /// Given up while under way; never more than were under way at once.
    given_up: Mutex<Vec<Line>>,
    timeline: Mutex<Timeline>,
}

impl Recorder {
    /// A new history in this file; what was in it is gone.
    pub fn create(path: &Path) -> Result<Self, HistoryError> {
        let failed = |error| HistoryError::Io { path: path.to_owned(), error };
        let (lines, to_write) = mpsc::channel(WAITING);
        let writer = writer::start(File::create(path).map_err(failed)?, to_write).map_err(failed)?;
        Ok(Self(Arc::new(Shared {
            path: path.to_owned(),
            next: AtomicU64::new(0),
            lines: Mutex::new(Some(lines)),
            writer: Mutex::new(Some(writer)),
            given_up: Mutex::default(),
            timeline: Mutex::default(),
        })))
    }

    /// An operation begins now.
    pub fn operation(&self, client: u32, door: &str, call: Call) -> Begun {
        let (id, begun) = (self.next(), Timestamp::now());
        let outcome = Outcome::Unknown { status: None, why: GIVEN_UP.to_owned(), retriable: false };
        let operation = Operation { id, client, door: door.to_owned(), begun, ended: begun, call, outcome };
        Begun { recorder: self.clone(), operation: Some(operation), has_ended: false }
    }

    /// A stream's connection is asked for now.
    pub fn stream(&self, client: u32, order: Uuid, after: u64) -> Opened {
        let (id, begun) = (self.next(), Timestamp::now());
        let end = StreamEnd::Broken { why: GIVEN_UP.to_owned() };
        let stream = Stream { id, client, order, after, begun, ended: begun, frames: Vec::new(), end };
        Opened { recorder: self.clone(), stream: Some(stream), open: false, has_ended: false }
    }

    /// The load begins: second 0 of the timeline.
    pub fn begin_timeline(&self) {
        self.timeline().begin();
    }

    /// An order was accepted, that was first asked for at this moment.
    pub fn order_accepted(&self, asked: Instant) {
        self.timeline().accepted(asked);
    }

    /// An order was seen completed for the first time.
    pub fn order_completed(&self) {
        self.timeline().completed();
    }

    /// What happened in each second since the load began.
    pub fn seconds(&self) -> Vec<Second> {
        self.timeline().seconds()
    }

    /// How long accepted orders took to be accepted.
    pub fn acceptance(&self) -> Quantiles {
        self.timeline().quantiles()
    }

    /// Writes what was given up, and ends the writer; gives the number of lines. What is recorded later is not kept.
    pub async fn close(&self) -> Result<u64, HistoryError> {
        let given_up = std::mem::take(&mut *locked(&self.0.given_up));
        for line in given_up {
            self.write(|| Some(line)).await;
        }
        drop(locked(&self.0.lines).take());
        let path = || self.0.path.clone();
        let writer = locked(&self.0.writer).take();
        let writer = writer.ok_or_else(|| HistoryError::WriterEnded { path: path() })?;
        let written = tokio::task::spawn_blocking(move || writer.join()).await;
        match written {
            Ok(Ok(Ok(lines))) => Ok(lines),
            Ok(Ok(Err(error))) => Err(HistoryError::Io { path: path(), error }),
            Ok(Err(_)) | Err(_) => Err(HistoryError::WriterEnded { path: path() }),
        }
    }

    fn next(&self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    fn sender(&self) -> Option<mpsc::Sender<Line>> {
        locked(&self.0.lines).clone()
    }

    /// Waits while the writer is behind, then hands over what `line` gives: whoever is given up while waiting still has
    /// it. When the writer has failed, or the history is closed, it is gone; [`close`](Self::close) says the former.
    async fn write(&self, line: impl FnOnce() -> Option<Line>) {
        let sender = self.sender();
        let place = match &sender {
            Some(sender) => sender.reserve().await.ok(),
            None => None,
        };
        if let (Some(line), Some(place)) = (line(), place) {
            place.send(line);
        }
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        locked(&self.0.timeline)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An operation under way. Dropped without an outcome, it is unknown.
#[must_use = "an operation has an outcome"]
pub struct Begun {
    recorder: Recorder,
    operation: Option<Operation>,
    has_ended: bool,
}

impl Begun {
    /// This came back, now.
    pub async fn ended(mut self, outcome: Outcome) {
        match &outcome {
            Outcome::Ok { .. } => {}
            Outcome::Refused { .. } => self.recorder.timeline().refused(),
            Outcome::Unknown { .. } => self.recorder.timeline().unknown(),
        }
        self.has_ended = true;
        if let Some(operation) = &mut self.operation {
            operation.ended = Timestamp::now();
            operation.outcome = outcome;
        }
        let operation = &mut self.operation;
        self.recorder.write(|| operation.take().map(Line::Operation)).await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some(mut operation) = self.operation.take() else { return };
        if !self.has_ended {
            operation.ended = Timestamp::now();
            self.recorder.timeline().unknown();
        }
        locked(&self.recorder.0.given_up).push(Line::Operation(operation));
    }
}

/// A stream's connection. Dropped without an end, it was given up.
#[must_use = "a stream has an end"]
pub struct Opened {
    recorder: Recorder,
    stream: Option<Stream>,
    open: bool,
    has_ended: bool,
}

impl Opened {
    /// The platform has taken the connection.
    pub fn established(&mut self) {
        self.open = true;
        self.recorder.timeline().stream(true);
    }

    /// A message came, now.
    pub fn frame(&mut self, version: u64, event: String, body: serde_json::Value) {
        if let Some(stream) = &mut self.stream {
            stream.frames.push(Frame { at: Timestamp::now(), version, event, body });
        }
    }

    /// The version of the last message, or what was asked for when there was none.
    pub fn seen(&self) -> u64 {
        let Some(stream) = &self.stream else { return 0 };
        stream.frames.last().map_or(stream.after, |frame| frame.version)
    }

    /// How many messages have come.
    pub fn frames(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.frames.len())
    }

    /// It has ended, now and so.
    pub async fn ended(mut self, end: StreamEnd) {
        self.closed();
        self.has_ended = true;
        if let Some(stream) = &mut self.stream {
            stream.ended = Timestamp::now();
            stream.end = end;
        }
        let stream = &mut self.stream;
        self.recorder.write(|| stream.take().map(Line::Stream)).await;
    }

    fn closed(&mut self) {
        if std::mem::take(&mut self.open) {
            self.recorder.timeline().stream(false);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.closed();
        let Some(mut stream) = self.stream.take() else { return };
        if !self.has_ended {
            stream.ended = Timestamp::now();
        }
        locked(&self.recorder.0.given_up).push(Line::Stream(stream));
    }
}
