//! The reply port: a message carries it to the actor, and whatever becomes of the message, its asker hears of it.
//!
//! actix answers `MailboxError::Closed` for an actor that is gone as well as for one that panicked and lives. Here the
//! port itself knows: an unanswered [`Reply`] says `Panicked` when it is dropped by a panic and `Dropped` when the
//! handler just forgot it. Whoever throws messages away on purpose says why with [`with_cause`].

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why a question got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No room: the actor's or the router's inbox is full, or too many entities are alive. Nothing was done.
    #[error("overloaded")]
    Overloaded,
    /// No answer within the deadline. The message may still be worked on, or may have been already.
    #[error("timed out")]
    TimedOut,
    /// The actor panicked while it held the message. What it did before that is not known.
    #[error("panicked")]
    Panicked,
    /// The message was thrown away unanswered.
    #[error("dropped without an answer")]
    Dropped,
    /// The entity could not be loaded. This message was not worked on.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The entity fell too often and is quarantined until somebody releases it. This message was not worked on, and to
    /// send it again will not help before that.
    #[error("{}", AskError::quarantined(kind, id))]
    Quarantined {
        /// The kind of entity.
        kind: &'static str,
        /// Which one.
        id: String,
    },
    /// The actor or its router accepts nothing more. This message was not worked on.
    #[error("stopping")]
    Stopping,
}

impl AskError {
    /// What [`AskError::Quarantined`] says of this entity: whoever sets a message aside for it finds that again by these
    /// words.
    pub fn quarantined(kind: &str, id: &str) -> String {
        format!("quarantined: {kind} {id}")
    }

    /// A short constant name, fit for a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            AskError::Overloaded => "overloaded",
            AskError::TimedOut => "timed_out",
            AskError::Panicked => "panicked",
            AskError::Dropped => "dropped",
            AskError::Unavailable(_) => "unavailable",
            AskError::Quarantined { .. } => "quarantined",
            AskError::Stopping => "stopping",
        }
    }
}

/// What a reply keeps until it is answered or dropped: a place in a bounded inbox.
pub(crate) trait Hold: Send + Sync {
    /// The reply is dropped unanswered.
    fn lost(&self, cause: &AskError);
}

/// Where the answer to one message goes. Sent or dropped, it frees the place that the message took.
pub struct Reply<T> {
    to: Option<oneshot::Sender<Result<T, AskError>>>,
    hold: Option<Box<dyn Hold>>,
}

impl<T> Reply<T> {
    /// A reply and the end where its answer arrives. For tests of message handlers and for own transports.
    pub fn channel() -> (Reply<T>, Answer<T>) {
        let (to, from) = oneshot::channel();
        (Reply { to: Some(to), hold: None }, Answer { from })
    }

    pub(crate) fn holding(hold: Box<dyn Hold>) -> (Reply<T>, Answer<T>) {
        let (to, from) = oneshot::channel();
        (Reply { to: Some(to), hold: Some(hold) }, Answer { from })
    }

    /// Answers. An asker who has stopped waiting is no error.
    pub fn send(mut self, value: T) {
        if let Some(to) = self.to.take() {
            let _ = to.send(Ok(value));
        }
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.to.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            let cause = cause();
            if let Some(hold) = &self.hold {
                hold.lost(&cause);
            }
            let _ = to.send(Err(cause));
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("answered", &self.to.is_none()).finish()
    }
}

/// Where an answer arrives.
#[derive(Debug)]
pub struct Answer<T> {
    from: oneshot::Receiver<Result<T, AskError>>,
}

impl<T> Answer<T> {
    /// The answer, waited for until `deadline` from now.
    pub fn within(self, deadline: Duration) -> impl Future<Output = Result<T, AskError>> {
        self.until(after(Instant::now(), deadline))
    }

    /// Whether the answer is there, or will never come.
    pub(crate) fn has_come(&mut self) -> bool {
        !matches!(self.from.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    pub(crate) async fn until(self, deadline: Instant) -> Result<T, AskError> {
        match tokio::time::timeout_at(deadline, self.from).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(AskError::Dropped),
            Err(_) => Err(AskError::TimedOut),
        }
    }
}

/// `now + wait`, or as good as never where that does not fit.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    now.checked_add(wait).unwrap_or_else(|| now + YEAR)
}

thread_local! {
    /// What unanswered replies say while something throws them away on purpose.
    static CAUSE: RefCell<Option<AskError>> = const { RefCell::new(None) };
}

/// What a reply would say that is dropped now.
pub(crate) fn cause() -> AskError {
    let given = CAUSE.try_with(|cause| cause.borrow().clone()).ok().flatten();
    given.unwrap_or(if std::thread::panicking() { AskError::Panicked } else { AskError::Dropped })
}

/// Replies that `work` drops on this thread say `cause`.
pub(crate) fn with_cause<T>(cause: AskError, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<AskError>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let outer = self.0.take();
            CAUSE.with(|slot| *slot.borrow_mut() = outer);
        }
    }
    let _restore = Restore(CAUSE.with(|slot| slot.borrow_mut().replace(cause)));
    work()
}
