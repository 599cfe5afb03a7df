//! A consumer: reads a topic, gives each event to the service, and remembers how far all is done.
//!
//! - Events of one key are handled one after the other, in order; different keys at the same time, up to a bound.
//! - What fails because something is away ([`HandleError::Away`]) is tried again with backoff for as long as it takes:
//!   no event is lost, skipped or dead-lettered for an outage. Only its own key waits meanwhile.
//! - What fails by itself ([`HandleError::Poison`], or a panic) is tried a few times and then becomes a dead letter;
//!   later events of its key are parked behind it, so that a redrive keeps their order. Neighbours go on.
//! - The position that is saved is that of the contiguous finished prefix. After a crash some events come again: the
//!   inbox in the effect's own transaction, and cores that are idempotent by nature, make that harmless.

mod dead_letters;
mod intake;
mod lanes;
mod progress;

use std::{future::Future, rc::Rc, sync::Arc, time::Duration};

use metrics::{counter, gauge, histogram};
use sqlx::PgPool;
use tokio::time::{self, Instant};
use viscount_actors::{Restart, Supervisor};
use viscount_contracts::{Envelope, Topic};

use self::{dead_letters::DeadLetters, intake::Intake, lanes::Lanes, progress::Progress};
use crate::{
    failpoint,
    log::{EventLog, LogError},
};

/// Why an event could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// Something that is needed is away or overloaded. Try again for as long as it takes.
    #[error("not possible now: {0}")]
    Away(String),
    /// The event itself is the problem.
    #[error("cannot be handled: {0}")]
    Poison(String),
}

/// What a service does with the events of a topic.
pub trait Handler: 'static {
    /// False for events that mean nothing to this service; they cost nothing more.
    fn wants(&self, event: &Envelope) -> bool;

    /// Has the effect of the event, durably, before it returns.
    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static;
}

/// Bounds of one consumer.
#[derive(Debug, Clone)]
pub struct ConsumerSpec {
    /// Its name, under which its place is kept: `inventory` reading `orders.events.v1`, say.
    pub consumer: &'static str,
    /// What it reads.
    pub topic: Topic,
    /// How many events are in hand at most: being handled, or waiting for one of their own key.
    pub in_hand: usize,
    /// How often a poisonous event is tried before it becomes a dead letter.
    pub attempts: u32,
    /// The first pause between two tries; doubles up to `longest_pause`, with jitter.
    pub first_pause: Duration,
    /// The longest pause between two tries.
    pub longest_pause: Duration,
}

impl ConsumerSpec {
    /// The usual bounds.
    pub const fn new(consumer: &'static str, topic: Topic) -> Self {
        Self {
            consumer,
            topic,
            in_hand: 1024,
            attempts: 5,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// How often the place is saved at most while events flow.
const SAVE_EVERY: Duration = Duration::from_millis(100);

/// The consumer stopped and should be started again.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// Its own database.
    #[error("the consumer's database: {0}")]
    Database(#[from] sqlx::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Starts a consumer as a supervised task. `factory` makes the handler, anew after each restart.
pub fn start<H: Handler>(
    supervisor: &Supervisor,
    name: &'static str,
    spec: ConsumerSpec,
    pool: PgPool,
    log: Arc<dyn EventLog>,
    factory: impl Fn() -> H + Send + 'static,
) {
    supervisor.task(name, Restart::Permanent, move || {
        let (spec, pool, log, handler) = (spec.clone(), pool.clone(), log.clone(), Rc::new(factory()));
        async move {
            // An outage is waited for, not escalated: only a panic or a refusal counts as a failure of the task.
            loop {
                match run(&spec, &pool, log.as_ref(), &handler).await {
                    Err(ConsumerError::Database(error)) if !crate::store::is_unavailable(&error) => {
                        return Err(ConsumerError::Database(error));
                    }
                    Err(error) => {
                        tracing::warn!(consumer = spec.consumer, topic = %spec.topic, %error, "consumer pauses");
                        time::sleep(Duration::from_millis(rand::random_range(200..600))).await;
                    }
                    Ok(never) => match never {},
                }
            }
        }
    });
}

async fn run<H: Handler>(
    spec: &ConsumerSpec,
    pool: &PgPool,
    log: &dyn EventLog,
    handler: &Rc<H>,
) -> Result<std::convert::Infallible, ConsumerError> {
    let labels = [("consumer", spec.consumer), ("topic", spec.topic.name())];
    let start = progress::saved(pool, spec).await?;
    let mut dead = DeadLetters::load(pool, spec).await?;
    let mut intake = Intake::new(log.reader(spec.topic, start));
    let mut progress = Progress::new(start);
    let mut lanes = Lanes::new(spec, handler.clone());
    let mut saver = time::interval(SAVE_EVERY);
    saver.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let handled = histogram!("consumer_handle_seconds", &labels);
    let read = gauge!("consumer_read_position", &labels);
    let in_hand = gauge!("consumer_in_hand", &labels);
    tracing::debug!(consumer = spec.consumer, topic = %spec.topic, position = start, "consumer starts");
    loop {
        let room = spec.in_hand.saturating_sub(progress.open());
        tokio::select! {
            biased;
            Some(done) = lanes.next() => {
                failpoint!("consumer.after-handle");
                handled.record(done.since.elapsed().as_secs_f64());
                if let Err(failure) = done.result {
                    counter!("consumer_dead_letters_total", &labels).increment(1);
                    dead.bury(pool, spec, &done.event, &failure).await?;
                    for follower in lanes.close(done.event.key) {
                        dead.park(pool, spec, &follower).await?;
                        progress.done(follower.position);
                    }
                }
                progress.done(done.event.position);
            }
            events = intake.next(room), if intake.wants(room) => {
                let events = events?;
                if let Some(last) = events.last() {
                    read.set(last.position as f64);
                }
                for event in events {
                    if !handler.wants(&event) {
                        progress.skip(event.position);
                    } else if dead.holds(event.key) {
                        dead.park(pool, spec, &event).await?;
                        progress.skip(event.position);
                    } else {
                        progress.begin(event.position);
                        lanes.push(event);
                    }
                }
                in_hand.set(progress.open() as f64);
            }
            _ = saver.tick(), if progress.unsaved().is_some() => {
                if let Some(position) = progress.unsaved() {
                    failpoint!("consumer.before-offset");
                    progress::save(pool, spec, position).await?;
                    progress.saved(position);
                    in_hand.set(progress.open() as f64);
                    failpoint!("consumer.after-offset");
                }
            }
        }
    }
}

/// One event that is through, for better or worse.
struct Done {
    event: Arc<Envelope>,
    since: Instant,
    result: Result<(), Failure>,
}

/// Why an event is given up.
struct Failure {
    attempts: u32,
    error: String,
}
