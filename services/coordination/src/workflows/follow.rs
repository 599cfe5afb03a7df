//! Reads the three topics and keeps the view.
//!
//! This sees every event of every order beside all that has to be done for them, so it is made to cost little: what
//! happened within a fifth of a second is taken in together, in one statement over all topics, and most orders come and go
//! within one or two of them. Where the engine keeps a group's place in this database, the commits need not reach the disk:
//! a place that has is behind everything that was written before it. With brokers, whose places do not know of our disk,
//! they do.
//!
//! An event may come twice, also to another replica: what was seen is left out by its version. So the place is saved only
//! now and then.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use metrics::histogram;
use sqlx::{PgConnection, PgPool};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};
use viscount_chassis::{
    log::{Deliveries, Delivery, EventLog, LogError, Member, Place, Revoked, Subscription},
    seldom::Seldom,
    store::is_unavailable,
};
use viscount_contracts::Envelope;

use super::{
    fold::{TOPICS, fold},
    store,
};
use crate::metrics::{WORKFLOWS_BATCH_SECONDS, WORKFLOWS_BATCH_SIZE};

/// What happens within this time is taken in together.
const PACE: Duration = Duration::from_millis(200);
/// How long the topics are waited for once one of them has come.
const GATHER: Duration = Duration::from_millis(10);
/// How many events are taken from a topic at once, and how many fill a batch.
const AT_ONCE: usize = 4_000;
/// From this many on a topic is behind, and is read without pausing.
const BEHIND: usize = 1_000;
/// How often places are saved.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// How long a try waits for the next one while something is away.
const PAUSE: Duration = Duration::from_millis(400);
/// The same when events are gone and somebody has to decide.
const LONG_PAUSE: Duration = Duration::from_secs(20);
/// How long the database is waited for with a batch in hand, until the group is left.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a batch is looked at again whose events were partly seen before.
const AGAIN: usize = 8;

/// The view cannot be kept at the moment.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Its own database.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A batch was refused again and again.
    #[error("{0} workflows cannot be taken in")]
    Refused(usize),
}

impl FollowError {
    /// How long to wait before the next try; `None` when that does not help.
    fn pause(&self) -> Option<Duration> {
        match self {
            FollowError::Database(error) => is_unavailable(error).then_some(PAUSE),
            FollowError::Log(LogError::HistoryLost { .. }) => Some(LONG_PAUSE),
            FollowError::Log(LogError::Refused(_)) | FollowError::Refused(_) => None,
            FollowError::Log(_) => Some(PAUSE),
        }
    }
}

/// Keeps the view for as long as the service runs. An outage is waited for.
pub async fn follow(consumer: &'static str, log: Arc<dyn EventLog>, pool: PgPool) -> Result<(), FollowError> {
    let mut seldom = Seldom::default();
    loop {
        let Err(error) = run(consumer, &log, &pool).await else { return Ok(()) };
        let Some(pause) = error.pause() else { return Err(error) };
        if seldom.is_due() {
            tracing::warn!(%error, "the view of workflows pauses");
        }
        time::sleep(pause.mul_f64(rand_share())).await;
    }
}

/// Between a half and one and a half, so that replicas do not try at the same time.
fn rand_share() -> f64 {
    0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0
}

/// What a topic gives, by its place in [`TOPICS`].
type Given = (usize, Result<Delivery, LogError>);

async fn run(consumer: &'static str, log: &Arc<dyn EventLog>, pool: &PgPool) -> Result<(), FollowError> {
    let mut view = View {
        connection: store::prepare(pool, log.shares_work()).await?,
        places: Vec::with_capacity(TOPICS.len()),
        unsaved: Default::default(),
    };
    let (sender, mut given) = mpsc::channel(TOPICS.len());
    let mut readers = JoinSet::new();
    let epoch = Instant::now();
    for (at, topic) in TOPICS.into_iter().enumerate() {
        let member = Member { consumer, topic, pool: pool.clone() };
        let Subscription { deliveries, place } = log.subscribe(member).await?;
        view.places.push(place);
        readers.spawn(read(at, deliveries, epoch, sender.clone()));
    }
    drop(sender);
    let mut saver = time::interval(SAVE_EVERY);
    saver.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            one = given.recv() => {
                let Some(one) = one else { return Ok(()) };
                view.take_in(one, &mut given).await?;
            }
            _ = saver.tick(), if view.has_unsaved() => view.save().await?,
        }
    }
}

/// Reads one topic, at the same beats as the others, or without pausing when it is behind.
async fn read(at: usize, mut deliveries: Box<dyn Deliveries>, epoch: Instant, sender: mpsc::Sender<Given>) {
    let mut beat = time::interval_at(epoch, PACE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut behind = false;
    loop {
        if !behind {
            beat.tick().await;
        }
        let delivery = deliveries.next(AT_ONCE).await;
        behind = matches!(&delivery, Ok(Delivery::Events(batch)) if batch.events().count() >= BEHIND);
        let is_over = delivery.is_err();
        if sender.send((at, delivery)).await.is_err() || is_over {
            return;
        }
    }
}

struct View {
    connection: PgConnection,
    places: Vec<Box<dyn Place>>,
    /// Up to where each partition of each topic is in the view, and not saved.
    unsaved: [BTreeMap<i32, i64>; TOPICS.len()],
}

impl View {
    /// Takes in what has come, and what comes with it.
    async fn take_in(&mut self, one: Given, given: &mut mpsc::Receiver<Given>) -> Result<(), FollowError> {
        let mut events: Vec<Arc<Envelope>> = Vec::new();
        let mut revoked: Vec<(usize, Revoked)> = Vec::new();
        let mut through = Vec::new();
        let until = Instant::now() + GATHER;
        let mut next = Some(one);
        while let Some((at, delivery)) = next.take() {
            match delivery? {
                Delivery::Events(mut batch) => {
                    // The services that need it have kept it as it came, and have said so.
                    drop(batch.take_unreadable());
                    through.push((at, batch.partition, batch.through));
                    events.extend(batch.into_records().map(|(_, event)| event));
                }
                Delivery::Revoked(gone) => revoked.push((at, gone)),
            }
            if events.len() < AT_ONCE && revoked.is_empty() {
                next = time::timeout_at(until, given.recv()).await.unwrap_or(None);
            }
        }
        if !events.is_empty() {
            let began = Instant::now();
            self.keep(&events).await?;
            histogram!(WORKFLOWS_BATCH_SIZE).record(events.len() as f64);
            histogram!(WORKFLOWS_BATCH_SECONDS).record(began.elapsed().as_secs_f64());
        }
        for (at, partition, offset) in through {
            self.unsaved[at].insert(partition, offset);
        }
        if !revoked.is_empty() {
            self.save().await?;
        }
        Ok(())
    }

    /// Writes what these events add, waiting for a database that is away.
    async fn keep(&mut self, events: &[Arc<Envelope>]) -> Result<(), FollowError> {
        let began = Instant::now();
        loop {
            match self.keep_once(events).await {
                // A connection that is gone stays gone; a deadlock or a timeout passes.
                Err(FollowError::Database(error @ sqlx::Error::Database(_)))
                    if is_unavailable(&error) && began.elapsed() < PATIENCE =>
                {
                    tracing::debug!(%error, "the view of workflows waits for its database");
                    time::sleep(PAUSE.mul_f64(rand_share())).await;
                }
                kept => return kept,
            }
        }
    }

    async fn keep_once(&mut self, events: &[Arc<Envelope>]) -> Result<(), FollowError> {
        let mut changes = fold(events, |_| [0; 3]);
        for _ in 0..AGAIN {
            if changes.is_empty() {
                return Ok(());
            }
            let taken: HashSet<_> = store::take(&mut self.connection, &changes).await?.into_iter().collect();
            let left: Vec<_> = changes.iter().map(|it| it.order).filter(|it| !taken.contains(it)).collect();
            if left.is_empty() {
                return Ok(());
            }
            let seen = store::seen(&mut self.connection, &left).await?;
            let left: HashSet<_> = left.into_iter().collect();
            let again = events.iter().filter(|event| left.contains(&event.key));
            changes = fold(again, |order| seen.get(&order).copied().unwrap_or_default());
        }
        Err(FollowError::Refused(changes.len()))
    }

    fn has_unsaved(&self) -> bool {
        self.unsaved.iter().any(|partitions| !partitions.is_empty())
    }

    async fn save(&mut self) -> Result<(), FollowError> {
        for (place, unsaved) in self.places.iter().zip(&mut self.unsaved) {
            if !unsaved.is_empty() {
                let done: Vec<_> = unsaved.iter().map(|(partition, offset)| (*partition, *offset)).collect();
                place.save(&done).await?;
                unsaved.clear();
            }
        }
        Ok(())
    }
}
