//! What comes in: one read of the log at a time.
//!
//! A read runs as a task of its own until it is through. The consumer attends to other things meanwhile; a read that
//! was dropped each time that an event is through would begin anew each time, and ask the table for the same page.

use std::sync::Arc;

use tokio::task::JoinSet;
use viscount_contracts::Envelope;

use crate::log::{LogError, LogReader};

/// How many events one read asks for at the most.
const AT_ONCE: usize = 512;

type Read = Result<Vec<Arc<Envelope>>, LogError>;

/// A reader, and the read that is under way.
pub(super) struct Intake {
    /// Here while no read is under way.
    reader: Option<Box<dyn LogReader>>,
    /// Ends with the intake.
    reading: JoinSet<(Box<dyn LogReader>, Read)>,
}

impl Intake {
    pub(super) fn new(reader: Box<dyn LogReader>) -> Self {
        Self { reader: Some(reader), reading: JoinSet::new() }
    }

    /// True when a read is under way, or may begin because there is room for what it brings.
    pub(super) fn wants(&self, room: usize) -> bool {
        room > 0 || self.reader.is_none()
    }

    /// The next events, not more than there was room for when their read began. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, room: usize) -> Read {
        if let Some(mut reader) = self.reader.take() {
            self.reading.spawn(async move {
                let read = reader.next(room.min(AT_ONCE)).await;
                (reader, read)
            });
        }
        match self.reading.join_next().await {
            Some(Ok((reader, read))) => {
                self.reader = Some(reader);
                read
            }
            Some(Err(failure)) => Err(LogError::Unavailable(failure.to_string())),
            None => Err(LogError::Unavailable("the reader is gone".to_owned())),
        }
    }
}
