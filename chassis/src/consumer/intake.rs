//! What comes in: one read of the log at a time.
//!
//! A read runs as a task of its own until it is through. The consumer attends to other things meanwhile; a read that
//! was dropped each time that an event is through would begin anew each time, and ask the table for the same page.

use tokio::task::JoinSet;

use crate::log::{Deliveries, Delivery, LogError};

/// How many events one read asks for at the most.
const AT_ONCE: usize = 512;

type Read = Result<Delivery, LogError>;

/// What comes in, and the read that is under way.
pub(super) struct Intake {
    /// Here while no read is under way.
    deliveries: Option<Box<dyn Deliveries>>,
    /// Ends with the intake.
    reading: JoinSet<(Box<dyn Deliveries>, Read)>,
}

impl Intake {
    pub(super) fn new(deliveries: Box<dyn Deliveries>) -> Self {
        Self { deliveries: Some(deliveries), reading: JoinSet::new() }
    }

    /// What comes next, with not more events than there was room for when its read began: without room only what is no
    /// event. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, room: usize) -> Read {
        if room == 0
            && let Some(deliveries) = &mut self.deliveries
        {
            return deliveries.revoked().await;
        }
        if let Some(mut deliveries) = self.deliveries.take() {
            self.reading.spawn(async move {
                let read = deliveries.next(room.min(AT_ONCE)).await;
                (deliveries, read)
            });
        }
        match self.reading.join_next().await {
            Some(Ok((deliveries, read))) => {
                self.deliveries = Some(deliveries);
                read
            }
            Some(Err(failure)) => Err(LogError::Unavailable(failure.to_string())),
            None => Err(LogError::Unavailable("the reader is gone".to_owned())),
        }
    }
}
