//! The group commit: whatever queued up while the last transaction ran is written by the next one.
//!
//! An entry that comes alone is written alone, at once. Where entries come in company, batches keep a pace ([`Pace`]): a
//! few milliseconds, so that the cost of the round trip, the statement, the commit record and the fsync is shared by
//! more of them. Under full load batches grow by themselves.
//!
//! One entity's conflict rejects that entity alone. The batch is tried as a whole first; only when the database refuses
//! it are the entries examined one by one, those to blame are answered, and the rest is tried again. When the
//! connection breaks in mid-commit nobody knows whether the commit happened: the same batch is written again, and
//! entries whose very events (by id) are found in the database are done.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use metrics::{Counter, Histogram, counter, histogram};
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};
use viscount_actors::{Restart, Supervisor};
use viscount_contracts::{Envelope, Topic};

use super::{
    EventStore,
    batch::{Batch, Entry, NewEvent},
    database::is_unavailable,
    pace::Pace,
    spans,
};
use crate::{failpoint, log::Publisher, telemetry::Span};

/// Writes a batch into a service's own tables, together with its events and inbox rows.
pub trait Writer: Send + Sync + 'static {
    /// What the service's own tables need to know of one entry.
    type Projection: Send + Sync + 'static;

    /// Writes the batch in one transaction, best as the one statement that [`super::statement`] makes, and gives the
    /// position of its last event. Either all of the batch is written or, with an error, nothing.
    fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, Self::Projection>,
    ) -> impl Future<Output = Result<i64, sqlx::Error>>;

    /// After the database has refused a batch (a constraint of the service's own tables): says for each entry
    /// whether it is to blame. Conflicting versions and repeated inbox events need not be looked for.
    /// The default blames nobody; then the batch is split until the culprit is alone.
    fn blame(
        &self,
        pool: &PgPool,
        batch: &Batch<'_, Self::Projection>,
    ) -> impl Future<Output = Result<Vec<bool>, sqlx::Error>> {
        let _ = (pool, batch);
        async { Ok(Vec::new()) }
    }
}

/// Why an entry was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Another writer was faster: one of the versions is taken. Load again and decide again.
    #[error("another writer was faster")]
    Conflict,
    /// The event that this is the effect of has had its effect before.
    #[error("this event was handled before")]
    Duplicate,
    /// A constraint of the service's own tables does not allow it, or the limit of its topic.
    #[error("refused by {constraint}")]
    Refused {
        /// The constraint's name, or the SQLSTATE where none is to blame; empty when the writer's own
        /// [`Writer::blame`] said so; [`EVENT_TOO_LARGE`] when the entry did not come as far as the database.
        constraint: String,
    },
    /// Too much is waiting.
    #[error("too many commits are waiting")]
    Overloaded,
    /// The database could not be asked in time. The entry may or may not have been written: load again before the
    /// next decision.
    #[error("the database is not available")]
    Unavailable,
}

/// What refuses an entry with an event that is larger than its topic is made for. Written, it would hold up whatever is
/// behind it.
pub const EVENT_TOO_LARGE: &str = "event_too_large";

/// Nothing to tell beyond that it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed;

/// Bounds of one committer.
#[derive(Debug, Clone)]
pub struct CommitterSpec {
    /// How many entries may wait.
    pub queue: usize,
    /// How many entries one statement writes at the most.
    pub batch: usize,
    /// The longest time from the beginning of one batch to that of the next that is kept while entries come in company.
    /// Zero: each batch is written as soon as the one before is.
    pub pause: Duration,
    /// How long an entry is tried before its caller is told that the database is not available.
    pub timeout: Duration,
}

impl Default for CommitterSpec {
    fn default() -> Self {
        Self { queue: 8192, batch: 512, pause: Duration::from_millis(10), timeout: Duration::from_secs(8) }
    }
}

struct Waiting<P> {
    entry: Entry<P>,
    since: Instant,
    reply: oneshot::Sender<Result<Committed, CommitError>>,
    /// What makes its events known, from the moment they were handed in.
    span: Span,
}

/// Handle of a service's committer. Cheap to clone.
pub struct Committer<P> {
    queue: mpsc::Sender<Waiting<P>>,
    timeout: Duration,
    topic: Topic,
}

impl<P> Clone for Committer<P> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), timeout: self.timeout, topic: self.topic }
    }
}

impl<P> fmt::Debug for Committer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").field("free", &self.queue.capacity()).finish()
    }
}

impl<P: Send + Sync + 'static> Committer<P> {
    /// Starts the committer as a supervised task named `committer`.
    pub fn start<W: Writer<Projection = P>>(
        supervisor: &Supervisor,
        store: EventStore,
        pool: PgPool,
        publisher: Arc<dyn Publisher>,
        writer: W,
        spec: CommitterSpec,
    ) -> Self {
        let (queue, receiver) = mpsc::channel(spec.queue);
        let (timeout, topic) = (spec.timeout, store.topic());
        let receiver = Arc::new(Mutex::new(receiver));
        let writer = Arc::new(writer);
        supervisor.task("committer", Restart::Permanent, move || {
            let worker = Worker {
                figures: Figures::of(store.topic().service()),
                store: store.clone(),
                pool: pool.clone(),
                publisher: publisher.clone(),
                writer: writer.clone(),
                spec: spec.clone(),
                connection: None,
            };
            let receiver = receiver.clone();
            async move { worker.run(receiver).await }
        });
        Self { queue, timeout, topic }
    }

    /// Hands an entry in and waits until it is committed, or refused.
    pub async fn commit(&self, mut entry: Entry<P>) -> Result<Committed, CommitError> {
        self.fits(&entry)?;
        let (reply, answer) = oneshot::channel();
        let span = spans::publishing(self.topic, &mut entry.events);
        let waiting = Waiting { entry, since: Instant::now(), reply, span };
        self.queue.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => CommitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CommitError::Unavailable,
        })?;
        // The worker gives up by itself after the timeout; the margin lets its answer come first.
        match timeout(self.timeout + Duration::from_secs(2), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(CommitError::Unavailable),
        }
    }

    /// Refuses what the service's topic would not take.
    fn fits(&self, entry: &Entry<P>) -> Result<(), CommitError> {
        let limit = self.topic.spec().max_message_bytes;
        let too_large = |event: &&NewEvent| u32::try_from(event.weight()).map_or(true, |bytes| bytes > limit);
        let Some(event) = entry.events.iter().find(too_large) else { return Ok(()) };
        counter!(crate::metrics::COMMITTER_TOO_LARGE_TOTAL, "service" => self.topic.service()).increment(1);
        let (topic, kind, bytes) = (self.topic, event.kind, event.weight());
        tracing::error!(%topic, kind, bytes, limit, "an event is refused: it is larger than its topic takes");
        Err(CommitError::Refused { constraint: EVENT_TOO_LARGE.to_owned() })
    }
}

struct Figures {
    size: Histogram,
    seconds: Histogram,
    conflicts: Counter,
    retries: Counter,
}

impl Figures {
    fn of(service: &'static str) -> Self {
        drop(counter!(crate::metrics::COMMITTER_TOO_LARGE_TOTAL, "service" => service));
        Self {
            size: histogram!(crate::metrics::COMMITTER_BATCH_SIZE, "service" => service),
            seconds: histogram!(crate::metrics::COMMITTER_BATCH_SECONDS, "service" => service),
            conflicts: counter!(crate::metrics::COMMITTER_CONFLICTS_TOTAL, "service" => service),
            retries: counter!(crate::metrics::COMMITTER_RETRIES_TOTAL, "service" => service),
        }
    }
}

struct Worker<W: Writer> {
    store: EventStore,
    pool: PgPool,
    publisher: Arc<dyn Publisher>,
    writer: Arc<W>,
    spec: CommitterSpec,
    connection: Option<PoolConnection<Postgres>>,
    figures: Figures,
}

impl<W: Writer> Worker<W> {
    async fn run(
        mut self,
        receiver: Arc<Mutex<mpsc::Receiver<Waiting<W::Projection>>>>,
    ) -> Result<(), sqlx::Error> {
        let mut receiver = receiver.lock().await;
        let mut batch = Vec::with_capacity(self.spec.batch);
        let mut pace = Pace::new(self.spec.pause);
        while receiver.recv_many(&mut batch, self.spec.batch).await > 0 {
            if let Some(company) = pace.wait() {
                sleep_until(company).await;
                while batch.len() < self.spec.batch
                    && let Ok(waiting) = receiver.try_recv()
                {
                    batch.push(waiting);
                }
            }
            let (begun, entries) = (Instant::now(), batch.len());
            self.settle(std::mem::replace(&mut batch, Vec::with_capacity(self.spec.batch))).await;
            pace.written(begun, entries);
        }
        Ok(())
    }

    /// Writes these entries or answers why not. Returns when each has its answer.
    async fn settle(&mut self, batch: Vec<Waiting<W::Projection>>) {
        let mut groups = vec![batch];
        let mut patience = Patience::default();
        while let Some(group) = groups.pop() {
            let group = self.give_up_on_late(group);
            if group.is_empty() {
                continue;
            }
            let mut span = spans::writing(self.store.topic(), group.iter().map(|waiting| &waiting.span));
            let written = self.write(&group).await;
            if let Err(error) = &written {
                spans::not_written(&mut span, error);
            }
            match written {
                Ok(position) => self.finish(group, position, &span),
                Err(error) if is_unavailable(&error) => {
                    tracing::warn!(%error, entries = group.len(), "commit not possible, trying again");
                    self.figures.retries.increment(1);
                    groups.push(group);
                    patience.wait().await;
                }
                Err(error) => match self.examine(group, &error).await {
                    Ok(rest) => groups.extend(rest),
                    Err(group) => {
                        groups.push(group);
                        patience.wait().await;
                    }
                },
            }
        }
    }

    fn give_up_on_late(&self, group: Vec<Waiting<W::Projection>>) -> Vec<Waiting<W::Projection>> {
        let (late, group): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|waiting| waiting.since.elapsed() > self.spec.timeout);
        answer_all(late, &Err(CommitError::Unavailable));
        group
    }

    async fn write(&mut self, group: &[Waiting<W::Projection>]) -> Result<i64, sqlx::Error> {
        failpoint!("store.before-commit");
        let started = Instant::now();
        let entries: Vec<_> = group.iter().map(|waiting| &waiting.entry).collect();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        let batch = Batch { entries: &entries };
        let outcome = timeout(self.spec.timeout, self.writer.write(&mut connection, &batch)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        match &outcome {
            // Closed without a word: the pool would first wait for an answer, and the other end may be silent.
            Err(error) if is_unavailable(error) => drop(connection.detach()),
            _ => self.connection = Some(connection),
        }
        let position = outcome?;
        self.figures.size.record(group.len() as f64);
        self.figures.seconds.record(started.elapsed().as_secs_f64());
        failpoint!("store.after-commit");
        Ok(position)
    }

    /// Publishes and answers what is now in the database.
    fn finish(&self, group: Vec<Waiting<W::Projection>>, position: i64, batch: &Span) {
        let count: usize = group.iter().map(|waiting| waiting.entry.events.len()).sum();
        let topic = self.store.topic();
        let mut next = position - count as i64;
        let mut envelopes = Vec::with_capacity(count);
        let mut replies = Vec::with_capacity(group.len());
        for mut waiting in group {
            spans::written(&mut waiting.span, batch, next + 1);
            envelopes.extend(waiting.entry.events.into_iter().map(|event| {
                next += 1;
                Envelope {
                    id: event.id,
                    topic,
                    position: next,
                    key: event.stream,
                    version: event.version,
                    kind: event.kind.into(),
                    occurred_at: event.occurred_at,
                    traceparent: event.traceparent,
                    data: event.data.into(),
                }
            }));
            replies.push((waiting.reply, waiting.span));
        }
        failpoint!("store.before-publish");
        if !envelopes.is_empty() {
            self.publisher.publish(envelopes);
        }
        failpoint!("store.after-publish");
        for (reply, span) in replies {
            drop(span);
            // Whoever asked may be gone; the entry is committed all the same.
            let _ = reply.send(Ok(Committed));
        }
        failpoint!("store.after-reply");
    }

    /// The database has refused the group: answers those to blame and gives back the others, to be tried again.
    /// `Err` when the database could not be asked.
    async fn examine(
        &mut self,
        group: Vec<Waiting<W::Projection>>,
        refusal: &sqlx::Error,
    ) -> Result<Vec<Vec<Waiting<W::Projection>>>, Vec<Waiting<W::Projection>>> {
        let verdicts = match timeout(self.spec.timeout, self.verdicts(&group)).await {
            Ok(Ok(verdicts)) => verdicts,
            Err(_) => return Err(group),
            Ok(Err(error)) if is_unavailable(&error) => return Err(group),
            Ok(Err(error)) => {
                tracing::error!(%error, "examining a refused batch failed");
                vec![None; group.len()]
            }
        };
        let mut rest = Vec::with_capacity(group.len());
        let mut blamed = 0;
        for (waiting, verdict) in group.into_iter().zip(verdicts) {
            match verdict {
                Some(verdict) => {
                    blamed += 1;
                    if verdict == Err(CommitError::Conflict) {
                        self.figures.conflicts.increment(1);
                    }
                    answer(waiting, verdict);
                }
                None => rest.push(waiting),
            }
        }
        if blamed > 0 {
            return Ok(vec![rest]);
        }
        if rest.len() <= 1 {
            let constraint = cause_of(refusal);
            answer_all(rest, &Err(CommitError::Refused { constraint }));
            return Ok(Vec::new());
        }
        let second = rest.split_off(rest.len() / 2);
        // Groups are taken from the end: the older half goes first, so that one stream keeps its order.
        Ok(vec![second, rest])
    }

    async fn verdicts(
        &self,
        group: &[Waiting<W::Projection>],
    ) -> Result<Vec<Option<Result<Committed, CommitError>>>, sqlx::Error> {
        let entries: Vec<_> = group.iter().map(|waiting| &waiting.entry).collect();
        let all = || entries.iter().flat_map(|entry| &entry.events);
        let streams: Vec<_> = all().map(|event| event.stream).collect();
        let versions: Vec<_> = all().map(|event| event.version).collect();
        let occupants = self.store.occupants(&streams, &versions).await?;
        let newest = self.store.newest(&streams).await?;
        let inbox: Vec<_> = entries.iter().filter_map(|entry| entry.inbox.map(|id| id.uuid())).collect();
        let handled: Vec<uuid::Uuid> =
            sqlx::query_scalar("select event_id from inbox where event_id = any($1)")
                .bind(inbox)
                .fetch_all(&self.pool)
                .await?;
        let blamed = self.writer.blame(&self.pool, &Batch { entries: &entries }).await?;

        let judge = |(index, entry): (usize, &&Entry<W::Projection>)| {
            let occupant = |event: &super::NewEvent| occupants.get(&(event.stream, event.version));
            let ours = !entry.events.is_empty()
                && entry.events.iter().all(|event| occupant(event) == Some(&event.id.uuid()));
            if ours {
                return Some(Ok(Committed));
            }
            if entry.inbox.is_some_and(|id| handled.contains(&id.uuid())) {
                return Some(Err(CommitError::Duplicate));
            }
            let mut expected = std::collections::HashMap::new();
            let conflict = entry.events.iter().any(|event| {
                let next = expected
                    .entry(event.stream)
                    .or_insert_with(|| newest.get(&event.stream).copied().unwrap_or(0) + 1);
                let fits = event.version == *next;
                *next += 1;
                !fits
            });
            // An earlier entry of this batch may bring the version that this one builds on.
            let built_on_batch = conflict
                && entry.events.first().is_some_and(|first| {
                    entries[..index]
                        .iter()
                        .flat_map(|earlier| &earlier.events)
                        .any(|earlier| earlier.stream == first.stream && earlier.version + 1 == first.version)
                });
            if conflict && !built_on_batch {
                return Some(Err(CommitError::Conflict));
            }
            if blamed.get(index).copied().unwrap_or(false) {
                return Some(Err(CommitError::Refused { constraint: String::new() }));
            }
            None
        };
        Ok(entries.iter().enumerate().map(judge).collect())
    }
}

fn answer_all<P>(group: Vec<Waiting<P>>, verdict: &Result<Committed, CommitError>) {
    for waiting in group {
        answer(waiting, verdict.clone());
    }
}

fn answer<P>(mut waiting: Waiting<P>, verdict: Result<Committed, CommitError>) {
    if let Err(error) = &verdict {
        spans::not_committed(&mut waiting.span, error);
    }
    // Whoever asked may be gone.
    let _ = waiting.reply.send(verdict);
}

/// The constraint's name. Without one the entry itself is broken, or the writer: the log says how.
fn cause_of(refusal: &sqlx::Error) -> String {
    let database = refusal.as_database_error();
    if let Some(constraint) = database.and_then(|refused| refused.constraint()) {
        return constraint.to_owned();
    }
    tracing::error!(error = %refusal, "the database refused an entry");
    database.and_then(|refused| refused.code()).map_or_else(|| "unknown".to_owned(), |code| code.into_owned())
}

/// Grows from 5 ms to a second while the database stays away.
#[derive(Default)]
struct Patience {
    tries: u32,
}

impl Patience {
    async fn wait(&mut self) {
        let cap = Duration::from_millis(5 << self.tries.min(8)).min(Duration::from_secs(1));
        self.tries += 1;
        sleep(cap.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

impl From<CommitError> for crate::problem::Problem {
    fn from(error: CommitError) -> Self {
        use crate::problem::Problem;
        match error {
            CommitError::Conflict => {
                Problem::unavailable("another request was faster", Duration::from_secs(1))
            }
            CommitError::Duplicate => Problem::conflict("done-before", "Done before", error.to_string()),
            CommitError::Refused { constraint } if constraint == EVENT_TOO_LARGE => Problem::unprocessable(
                "what would be recorded of this request is larger than an event may be",
            ),
            CommitError::Refused { constraint } => {
                tracing::error!(constraint, "an entry was refused that nobody expected to be");
                Problem::internal()
            }
            CommitError::Overloaded | CommitError::Unavailable => {
                Problem::unavailable(error.to_string(), Duration::from_secs(1))
            }
        }
    }
}
