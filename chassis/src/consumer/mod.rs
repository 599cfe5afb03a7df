//! A consumer: reads a topic, gives each event to the service, and remembers how far all is done.
//!
//! - Events of one key are handled one after the other, in order; different keys at the same time, up to a bound.
//! - What fails because something is away ([`HandleError::Away`]) is tried again with backoff for as long as it takes:
//!   no event is lost, skipped or dead-lettered for an outage. Only its own key waits meanwhile.
//! - What fails by itself ([`HandleError::Poison`], or a panic) is tried a few times and then becomes a dead letter;
//!   later events of its key are parked behind it, so that a redrive keeps their order. Neighbours go on.
//! - What is meant for an entity in quarantine ([`HandleError::SetAside`]) becomes a dead letter at once, and goes back when
//!   the entity is released.
//! - Somebody may ask for another try of a dead letter ([`dead_letters`](crate::dead_letters)): it goes through the same
//!   handler, then what is parked behind it, in order. Its key is free again when no row of it is left.
//! - A message in which there is no event is kept as it came before its offset passes. Nobody knows its
//!   key for sure, so nothing waits for it.
//! - What is saved is the contiguous finished prefix of each partition. After a crash some events come again: the inbox
//!   in the effect's own transaction, and cores that are idempotent by nature, make that harmless.
//! - A partition that goes to another member is let go when nothing of it is being handled any more, or when its time is
//!   up. What waited is not begun; what is still running then has its effect here, and the other member's is a duplicate.

mod dead_letters;
mod intake;
mod lag;
mod lanes;
mod progress;
mod redrive;
#[cfg(test)]
mod tests;
mod unreadable;

use std::{future::Future, rc::Rc, sync::Arc, time::Duration};

use jiff::Timestamp;
use metrics::{Counter, counter, gauge, histogram};
use sqlx::PgPool;
use tokio::time::{self, Instant};
use uuid::Uuid;
use viscount_actors::{AskError, Restart, Supervisor};
use viscount_contracts::{Envelope, Topic};

use self::{
    dead_letters::DeadLetters,
    intake::Intake,
    lag::Lag,
    lanes::{Item, Lanes},
    progress::{Partitions, Slot},
    redrive::Redrives,
};
use crate::{
    dead_letters::Tries,
    failpoint,
    log::{Batch, Delivery, EventLog, LogError, Member, Place, Revoked, Subscription},
    seldom::Seldom,
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
    /// Whoever should handle it is quarantined. To try again will not help: it is set aside at once as a dead letter, and
    /// goes back when that one is released.
    #[error("set aside: {0}")]
    SetAside(String),
}

impl From<AskError> for HandleError {
    /// A panic counts against the event; everything else but a quarantine is this moment's trouble.
    fn from(error: AskError) -> Self {
        match error {
            AskError::Panicked => HandleError::Poison("its actor panicked".to_owned()),
            AskError::Quarantined { .. } => HandleError::SetAside(error.to_string()),
            other => HandleError::Away(other.to_string()),
        }
    }
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
    /// What its metrics carry. A service's consumers have its name.
    fn labels(&self) -> [(&'static str, &'static str); 3] {
        [("service", self.consumer), ("consumer", self.consumer), ("topic", self.topic.name())]
    }

    /// The same, and what came of a dead letter that was tried again.
    fn redriven(&self, outcome: &'static str) -> Counter {
        let [service, consumer, topic] = self.labels();
        counter!(crate::metrics::CONSUMER_REDRIVEN_TOTAL, &[service, consumer, topic, ("outcome", outcome)])
    }

    /// Has the counters of what is seldom exist from the start.
    fn begin_to_count(&self) {
        let labels = self.labels();
        for name in [
            crate::metrics::CONSUMER_DEAD_LETTERS_TOTAL,
            crate::metrics::CONSUMER_UNREADABLE_MESSAGES_TOTAL,
            crate::metrics::CONSUMER_UNREADABLE_MESSAGES_NOT_KEPT_TOTAL,
        ] {
            drop(counter!(name, &labels));
        }
        ["handled", "dead"].into_iter().for_each(|outcome| drop(self.redriven(outcome)));
    }

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
/// How often it is shown how far the consumer is behind.
const SHOW_EVERY: Duration = Duration::from_secs(1);

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

impl ConsumerError {
    /// True when waiting may help.
    fn is_away(&self) -> bool {
        match self {
            ConsumerError::Database(error) => crate::store::is_unavailable(error),
            ConsumerError::Log(LogError::Refused(_)) => false,
            ConsumerError::Log(_) => true,
        }
    }
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
            let (mut seldom, mut lag) = (Seldom::default(), Lag::new(&spec));
            // An outage is waited for, not escalated: only a panic or a refusal counts as a failure of the task.
            loop {
                match run(&spec, &pool, &log, &handler, &mut lag).await {
                    Err(error) if !error.is_away() => return Err(error),
                    Err(error) => {
                        if seldom.is_due() {
                            tracing::warn!(consumer = spec.consumer, topic = %spec.topic, %error, "consumer pauses");
                        }
                        lag.age();
                        time::sleep(pause_after(&error).mul_f64(rand::random_range(0.5..1.5))).await;
                    }
                    Ok(never) => match never {},
                }
            }
        }
    });
}

fn pause_after(error: &ConsumerError) -> Duration {
    match error {
        // Somebody has to decide. Until then it is said again now and then.
        ConsumerError::Log(LogError::HistoryLost { .. }) => Duration::from_secs(20),
        _ => Duration::from_millis(400),
    }
}

async fn run<H: Handler>(
    spec: &ConsumerSpec,
    pool: &PgPool,
    log: &Arc<dyn EventLog>,
    handler: &Rc<H>,
    lag: &mut Lag,
) -> Result<std::convert::Infallible, ConsumerError> {
    let labels = spec.labels();
    spec.begin_to_count();
    let mut dead = DeadLetters::unknown();
    // Before anything else: without its database a member would only disturb the others of its group.
    dead.look(pool, spec).await?;
    let member = Member { consumer: spec.consumer, topic: spec.topic, pool: pool.clone() };
    let Subscription { deliveries, place } = log.subscribe(member).await?;
    let mut intake = Intake::new(deliveries);
    let mut work = Work {
        spec,
        pool,
        handler,
        dead,
        redrives: Redrives::new(spec, handler.clone(), pool.clone(), log.clone()),
        place,
        partitions: Partitions::default(),
        lanes: Lanes::new(spec, handler.clone()),
        unknown: counter!(crate::metrics::CONSUMER_UNKNOWN_EVENTS_TOTAL, &labels),
    };
    let mut leaving: Option<Revoked> = None;
    let mut saver = time::interval(SAVE_EVERY);
    saver.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut looks = time::interval(SHOW_EVERY);
    looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let handled = histogram!(crate::metrics::CONSUMER_HANDLE_SECONDS, &labels);
    let age = histogram!(crate::metrics::CONSUMER_EVENT_AGE_SECONDS, &labels);
    let read = gauge!(crate::metrics::CONSUMER_READ_POSITION, &labels);
    let in_hand = gauge!(crate::metrics::CONSUMER_IN_HAND, &labels);
    tracing::debug!(consumer = spec.consumer, topic = %spec.topic, "consumer starts");
    loop {
        if let Some(revoked) = leaving.take_if(|revoked| work.may_let_go(revoked)) {
            work.save().await?;
            work.partitions.remove(&revoked.partitions);
        }
        let room = spec.in_hand.saturating_sub(work.partitions.open());
        let overdue = leaving.as_ref().map(|revoked| revoked.deadline);
        tokio::select! {
            biased;
            Some(done) = work.lanes.next() => {
                failpoint!("consumer.after-handle");
                handled.record(done.since.elapsed().as_secs_f64());
                match done.result {
                    Err(failure) if work.partitions.is_ours(done.slot) => {
                        counter!(crate::metrics::CONSUMER_DEAD_LETTERS_TOTAL, &labels).increment(1);
                        work.give_up(&done.event, &failure).await?;
                    }
                    // Whose partition it is now decides what becomes of it.
                    Err(failure) => {
                        let (event, error) = (done.event.id, failure.error());
                        tracing::info!(consumer = spec.consumer, topic = %spec.topic, %event, error, "left to another member");
                        work.lanes.go_on(done.event.key);
                    }
                    Ok(()) => {}
                }
                work.partitions.done(done.slot);
            }
            delivery = intake.next(room), if leaving.is_none() => match delivery? {
                Delivery::Events(batch) => {
                    if let Some(last) = batch.last() {
                        read.set(last.position as f64);
                    }
                    let now = Timestamp::now();
                    for event in batch.events() {
                        age.record(now.duration_since(event.occurred_at).as_secs_f64().max(0.0));
                    }
                    work.take_in(batch).await?;
                    in_hand.set(work.partitions.open() as f64);
                }
                Delivery::Revoked(revoked) => {
                    tracing::debug!(consumer = spec.consumer, topic = %spec.topic, ?revoked, "partitions leave");
                    for slot in work.lanes.forget(&revoked.partitions) {
                        work.partitions.abandon(slot);
                    }
                    leaving = Some(revoked);
                }
            },
            _ = saver.tick(), if work.partitions.has_unsaved() => {
                failpoint!("consumer.before-offset");
                work.save().await?;
                in_hand.set(work.partitions.open() as f64);
                failpoint!("consumer.after-offset");
            }
            () = work.dead.look_is_due() => match work.look().await.map_err(ConsumerError::from) {
                // Nothing depends on this look: what is known stays true.
                Err(error) if error.is_away() => work.dead.look_again(),
                looked => looked?,
            },
            () = until(overdue), if overdue.is_some() => {}
            _ = looks.tick() => lag.show(&work.partitions, log.newest(spec.topic)),
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What a consumer has in hand.
struct Work<'a, H: Handler> {
    spec: &'a ConsumerSpec,
    pool: &'a PgPool,
    handler: &'a Rc<H>,
    dead: DeadLetters,
    redrives: Redrives<H>,
    place: Box<dyn Place>,
    partitions: Partitions,
    lanes: Lanes<H>,
    /// Counts events of kinds that this program does not know: a newer one has published them.
    unknown: Counter,
}

impl<H: Handler> Work<'_, H> {
    async fn take_in(&mut self, mut batch: Batch) -> Result<(), ConsumerError> {
        let (partition, through) = (batch.partition, batch.through);
        if let Some(first) = batch.first().filter(|_| self.partitions.is_new(partition)) {
            // Another member may have given up events of these keys.
            if patiently(self.spec, async || self.dead.look(self.pool, self.spec).await).await? {
                self.redrives.begin();
            }
            self.partitions.add(partition, first - 1);
        }
        let unreadable = batch.take_unreadable();
        if !unreadable.is_empty() {
            patiently(self.spec, async || unreadable::keep(self.pool, self.spec, &unreadable).await).await?;
            self.dead.has_unreadable();
        }
        for (offset, event) in batch.into_records() {
            if !self.handler.wants(&event) {
                if !event.kind_is_known() {
                    self.unknown.increment(1);
                }
                continue;
            }
            if self.dead.holds(event.key) && !self.has_in_hand(event.key) {
                patiently(self.spec, async || self.dead.park(self.pool, self.spec, &event).await).await?;
            } else {
                let slot = self.partitions.begin(partition, offset, event.occurred_at);
                self.lanes.push(Item { slot, event });
            }
        }
        self.partitions.skip(partition, through);
        Ok(())
    }

    /// What is in hand of a key already is older than what comes, and goes first. Not so what is left over from an earlier
    /// time: another member may have parked since what comes between.
    fn has_in_hand(&self, key: Uuid) -> bool {
        self.lanes.slots(key).any(|slot| self.partitions.is_ours(slot))
    }

    /// Reads again which keys are parked, and begins to redrive what should be.
    async fn look(&mut self) -> Result<(), sqlx::Error> {
        if self.dead.look(self.pool, self.spec).await? {
            self.redrives.begin();
        }
        Ok(())
    }

    async fn give_up(&mut self, event: &Arc<Envelope>, failure: &Failure) -> Result<(), ConsumerError> {
        self.dead.bury(self.pool, self.spec, event, failure).await?;
        for follower in self.lanes.close(event.key) {
            self.dead.park(self.pool, self.spec, &follower.event).await?;
            self.partitions.done(follower.slot);
        }
        Ok(())
    }

    async fn save(&mut self) -> Result<(), ConsumerError> {
        let done = self.partitions.unsaved();
        if !done.is_empty() {
            self.place.save(&done).await?;
            self.partitions.saved(&done);
        }
        Ok(())
    }

    fn may_let_go(&self, revoked: &Revoked) -> bool {
        self.partitions.are_idle(&revoked.partitions) || revoked.deadline <= Instant::now()
    }
}

/// How long a database that is away is waited for with a batch in hand, until the group is left.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the database, again while it is away. To leave the group for a short outage, and to join it again, would disturb the
/// other members each time.
async fn patiently<T>(
    spec: &ConsumerSpec,
    mut ask: impl AsyncFnMut() -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let began = Instant::now();
    loop {
        match ask().await {
            Err(error) if crate::store::is_unavailable(&error) && began.elapsed() < PATIENCE => {
                tracing::debug!(consumer = spec.consumer, topic = %spec.topic, %error, "consumer waits for its database");
                time::sleep(spec.first_pause.mul_f64(rand::random_range(0.5..1.5))).await;
            }
            answer => return answer,
        }
    }
}

impl<H: Handler> Drop for Work<'_, H> {
    fn drop(&mut self) {
        self.place.note(&self.partitions.unsaved());
    }
}

/// One event that is through, for better or worse.
struct Done {
    slot: Slot,
    event: Arc<Envelope>,
    since: Instant,
    result: Result<(), Failure>,
}

/// Why an event is given up.
struct Failure {
    attempts: u32,
    tries: Tries,
}

impl Failure {
    /// The last reason.
    fn error(&self) -> &str {
        self.tries.error()
    }

    /// As the table counts them.
    fn attempts(&self) -> i32 {
        i32::try_from(self.attempts).unwrap_or(i32::MAX)
    }
}
