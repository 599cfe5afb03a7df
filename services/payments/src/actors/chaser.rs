//! The scheduler of open questions: takes what is due and lets the payments concerned ask again, until they know.
//!
//! The deadlines are rows, so they live longer than any process. While the breaker is open nothing is taken, and when it
//! lets one probe through only a few are: so the crowd does not wear out its backoff on a dead provider, and is asked as
//! soon as the provider is back.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use metrics::gauge;
use sqlx::PgPool;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use viscount_actors::{Restart, Router, Supervisor};
use viscount_chassis::{resilience::BreakerState, store::is_unavailable};

use super::payment::{PaymentActor, PaymentEnv, Request, Settled, Work};
use crate::{
    metrics as names,
    store::open_calls::{self, Due},
};

/// Wakes the scheduler when a question was opened. Cheap to clone.
#[derive(Clone, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// There is something new to look at.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Bounds of the scheduler.
#[derive(Debug, Clone, Copy)]
pub struct ChaserSpec {
    /// How often it looks while nobody wakes it.
    pub look_every: Duration,
    /// How many questions it takes at once while the provider answers.
    pub batch: i64,
    /// How many it takes at once to find out whether the provider is back.
    pub probe: i64,
    /// How many are asked at the same time.
    pub concurrency: usize,
    /// From which age on an open question is reported in the log.
    pub report_after: Duration,
}

impl Default for ChaserSpec {
    fn default() -> Self {
        Self {
            look_every: Duration::from_millis(500),
            batch: 256,
            probe: 2,
            concurrency: 64,
            report_after: Duration::from_secs(300),
        }
    }
}

/// How long one payment may take to ask.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the backlog is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// How often an old one is reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Clone)]
pub struct Chaser {
    /// Where the deadlines are.
    pub pool: PgPool,
    /// Where the payments are.
    pub router: Router<PaymentActor>,
    /// Their surroundings.
    pub env: PaymentEnv,
    /// Its bounds.
    pub spec: ChaserSpec,
}

impl Chaser {
    /// Starts it as a supervised task named `chase-open-calls`.
    pub fn start(self, supervisor: &Supervisor) {
        supervisor.task("chase-open-calls", Restart::Permanent, move || {
            let chaser = self.clone();
            async move { chaser.run().await }
        });
    }

    async fn run(&self) -> Result<(), sqlx::Error> {
        let mut measured: Option<Instant> = None;
        let mut reported: Option<Instant> = None;
        loop {
            if measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
                measured = Some(Instant::now());
                self.measure(&mut reported).await;
            }
            let due = match self.take().await {
                Ok(due) => due,
                Err(error) if is_unavailable(&error) => {
                    tracing::debug!(%error, "open calls cannot be read now");
                    sleep(self.spec.look_every).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if due.is_empty() {
                // Until somebody wakes us, or something may be due.
                let _ = timeout(self.spec.look_every, self.env.0.nudge.0.notified()).await;
                continue;
            }
            let (asked, settled) = self.chase(due).await;
            tracing::debug!(asked, settled, "asked the provider again");
        }
    }

    async fn take(&self) -> Result<Vec<Due>, sqlx::Error> {
        match self.env.0.provider.breaker() {
            BreakerState::Closed => open_calls::take_due(&self.pool, self.spec.batch).await,
            BreakerState::HalfOpen => open_calls::take_due(&self.pool, self.spec.probe).await,
            BreakerState::Open => Ok(Vec::new()),
        }
    }

    /// How many were asked, and of how many the answer is known now.
    async fn chase(&self, due: Vec<Due>) -> (usize, usize) {
        let asked = due.len();
        let asking = due.into_iter().map(|due| {
            self.router.ask(due.order, PATIENCE, move |reply| Request {
                work: Work::Chase(due.call),
                traceparent: None,
                reply,
            })
        });
        let answers = stream::iter(asking).buffer_unordered(self.spec.concurrency);
        let settled =
            answers.filter(|answer| std::future::ready(matches!(answer, Ok(Ok(Settled::Done))))).count();
        (asked, settled.await)
    }

    async fn measure(&self, reported: &mut Option<Instant>) {
        let Ok(backlog) = open_calls::backlog(&self.pool).await else { return };
        gauge!(names::OPEN_CALLS).set(backlog.open as f64);
        gauge!(names::OLDEST_OPEN_CALL).set(backlog.oldest.as_secs_f64());
        let is_old = backlog.oldest >= self.spec.report_after;
        if is_old && reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            *reported = Some(Instant::now());
            tracing::warn!(
                open = backlog.open,
                oldest_seconds = backlog.oldest.as_secs(),
                "the provider's answer is not known for a long time"
            );
        }
    }
}
