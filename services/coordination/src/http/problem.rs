//! The one place where refusals meet status codes.

use std::time::Duration;

use jiff::Timestamp;
use viscount_chassis::problem::Problem;

use crate::{
    domain::{NameError, Wrong},
    refusal::Refusal,
};

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownInstance => Problem::not_found("instance"),
            Refusal::OtherService => {
                Problem::conflict("instance-of-another-service", "Instance of another service", detail)
            }
            Refusal::TooManyInstances { .. } => {
                Problem::new(422, "too-many-instances", "Too many instances").with_detail(detail)
            }
            Refusal::Stale => Problem::precondition_failed(),
            Refusal::BadSettings(wrong) => wrong.into_iter().fold(
                Problem::unprocessable(detail),
                |problem, Wrong { pointer, detail }| {
                    problem.with_error(format!("/settings{pointer}"), detail)
                },
            ),
            Refusal::Held { until } => {
                let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
                Problem::conflict("lock-held", "Lock held", detail)
                    .with_extension("expires_at", until.to_string())
                    .with_retry_after(left.max(Duration::from_secs(1)))
            }
            Refusal::Lost { .. } => Problem::conflict("lock-lost", "Lock lost", detail),
            Refusal::UnknownLock => Problem::not_found("lock"),
            Refusal::TooManyLocks => {
                Problem::new(422, "too-many-locks", "Too many locks").with_detail(detail)
            }
            Refusal::TooManyWaiting => Problem::unavailable(detail, Duration::from_secs(1)),
            Refusal::Commit(error) => error.into(),
            Refusal::Database(error) => error.into(),
        }
    }
}

/// A name in the path that cannot be one.
pub fn bad_name(error: NameError) -> Problem {
    Problem::bad_request(error.to_string())
}
