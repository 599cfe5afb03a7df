//! How a guarded call can end without an answer, and what an answer says about the callee.

use std::time::Duration;

/// Why a guarded call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// Sent, but not answered in time: the outcome at the callee is unknown.
    #[error("no answer within the deadline")]
    Deadline,
    /// Not sent: the callee failed too often lately.
    #[error("circuit open, next try in {retry_after:?}")]
    Open {
        /// When the next probe may go.
        retry_after: Duration,
    },
    /// Not sent: as many calls as allowed are under way, and as many wait.
    #[error("too many calls under way")]
    Saturated,
    /// Not sent: our own rate limit towards this callee.
    #[error("rate limited, next try in {retry_after:?}")]
    Limited {
        /// When the limiter lets the next call through.
        retry_after: Duration,
    },
    /// The call's own code panicked; the outcome at the callee is unknown.
    #[error("the call panicked")]
    Panicked,
    /// The callee's or the transport's own error.
    #[error("{0}")]
    Inner(E),
}

impl<E> CallError<E> {
    /// True when nothing was sent, so that asking another instance is safe whatever the call does.
    pub fn is_refusal(&self) -> bool {
        matches!(self, CallError::Open { .. } | CallError::Saturated | CallError::Limited { .. })
    }
}

/// What the result of a call says about the callee.
///
/// A refusal such as 404 or 409 is a healthy callee's answer: [`Verdict::Success`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The callee is well.
    Success,
    /// The callee failed; asking again is pointless.
    Failure,
    /// The callee failed in a way that may pass: an idempotent call is tried again while the budget lasts.
    Retryable,
    /// Says nothing about the callee: the caller's own side broke off.
    Neutral,
}
