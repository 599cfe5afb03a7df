//! The relay: publishes a service's committed events to its topic, in the order of their positions.
//!
//! It is an outbox's relay without an outbox: the events table is read from the last position that the brokers have
//! acknowledged, and while it keeps up, the committer's hand-over in memory is all that it reads. Messages are
//! pipelined; what counts as published is the contiguous acknowledged prefix. Nothing is ever skipped: what the brokers
//! do not take is tried again from the first event that is missing, and one that is too large for the topic stops the
//! relay, loudly, until the topic takes it. To skip it would be to lose it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use metrics::{Gauge, gauge};
use rdkafka::error::KafkaError;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use viscount_contracts::{Envelope, Topic};

use super::{
    Inner,
    acks::{Acks, Failure},
    config::told,
    lease::{BEAT, Lease, LeaseError},
    registry::{RegistryError, Writer},
    sender::Sender,
    topics, wire,
};
use crate::{
    log::{LogError, embedded::Reader},
    store::EventStore,
    telemetry::{self, Span, SpanKind, TraceContext},
};

/// How many events are taken at once.
const AT_ONCE: usize = 512;
/// How long the last messages may take when the relay is asked to stop.
const FLUSH: Duration = Duration::from_secs(2);
/// How long it waits until it begins anew after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// The same when the schema registry is away, or has refused: it is asked again, not stormed.
const REGISTRY_PAUSE: Duration = Duration::from_secs(3);
/// The same when the brokers do not answer this replica: long enough for another one to begin.
const LEAVE: Duration = Duration::from_secs(15);
/// How long it waits when too many bytes are on their way.
const FULL: Duration = Duration::from_millis(10);
/// How often interruptions are told, and how often the same one. Each service has a relay, and they are interrupted alike.
const TELL: Duration = Duration::from_secs(30);
const TELL_AGAIN: Duration = Duration::from_secs(300);
/// How often it looks whether a topic that was too small takes more.
const LOOK: Duration = Duration::from_secs(5);

/// Why the relay begins anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interruption {
    /// Somebody else publishes, or the database is away.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The events cannot be read, or the topic not be asked for.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The schema has no id yet.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The brokers' client.
    #[error("the brokers: {}", told(.0))]
    Kafka(#[from] KafkaError),
    /// A message was not taken.
    #[error("not published: {0}")]
    NotPublished(String),
    /// The brokers do not answer, or one of them.
    #[error("nothing has been acknowledged for {0:?}; left to another replica, if there is one")]
    Stuck(Duration),
    /// What was published is no longer there.
    #[error("the topic was made anew, or has lost its end; publishing from the first event on")]
    MadeAnew,
    /// The topic takes larger messages than before.
    #[error("the topic takes more by now")]
    LimitChanged,
}

impl Interruption {
    fn pause(&self) -> Duration {
        match self {
            Self::Registry(_) => REGISTRY_PAUSE.mul_f64(rand::random_range(0.5..1.0)),
            Self::Stuck(_) => LEAVE.mul_f64(rand::random_range(1.0 / 3.0..1.0)),
            _ => PAUSE.mul_f64(rand::random_range(0.5..1.0)),
        }
    }
}

impl From<Failure> for Interruption {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::NotPublished(why),
            Failure::MadeAnew => Self::MadeAnew,
        }
    }
}

/// A gauge that is 1 as long as this lives.
struct Raised(Gauge);

impl Raised {
    fn new(gauge: Gauge) -> Self {
        gauge.set(1.0);
        Self(gauge)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

/// What has to be there before anything is published.
struct Prepared {
    lease: Lease,
    /// How large a message may be.
    limit: usize,
    writer: Option<Arc<Writer>>,
}

/// Publishes until it is asked to stop.
pub(super) async fn run(inner: Arc<Inner>, store: EventStore, mut stop: watch::Receiver<bool>) {
    let topic = store.topic();
    let mut told: Option<(String, Instant)> = None;
    loop {
        // Whoever waits for the lock or for the brokers has nothing to finish.
        let prepared = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            prepared = prepare(&inner, &store) => prepared,
        };
        let outcome = match prepared {
            Ok(prepared) => lead(&inner, &store, prepared, &mut stop).await,
            Err(interruption) => Err(interruption),
        };
        match outcome {
            Ok(()) => return,
            Err(interruption) => {
                let error = interruption.to_string();
                let due = |(before, at): &(String, Instant)| {
                    at.elapsed() > if *before == error { TELL_AGAIN } else { TELL }
                };
                if told.as_ref().is_none_or(due) {
                    tracing::warn!(%topic, error, "publishing is interrupted");
                    told = Some((error, Instant::now()));
                }
                let _ = timeout(interruption.pause(), stop.wait_for(|stop| *stop)).await;
            }
        }
    }
}

/// Waits until it is this replica's turn, the topic is there, and so is its schema.
async fn prepare(inner: &Arc<Inner>, store: &EventStore) -> Result<Prepared, Interruption> {
    let topic = store.topic();
    let cluster = topics::cluster(inner).await?;
    topics::ensure(inner, topic).await?;
    // Before the turn: who cannot publish must not keep others from it.
    let writer = match &inner.registry {
        Some(registry) => Some(registry.writer(topic).await?),
        None => None,
    };
    let cluster = format!("{cluster}/{}", inner.config.topic(topic));
    let mut lease = Lease::acquire(store.pool(), topic, &cluster).await?;
    // Asked for now: the turn may have been long in coming.
    let position = lease.position;
    let asked = lease.meanwhile(async {
        let limit = topics::limit(inner, topic).await?;
        Ok::<_, LogError>((limit, position > 0 && topics::is_new(inner, topic).await?))
    });
    let (limit, is_new) = asked.await??;
    if is_new {
        tracing::warn!(%topic, position, "the topic is empty; publishing from the first event on");
        lease.rewind().await?;
    }
    lease.begin().await?;
    Ok(Prepared { lease, limit, writer })
}

/// Publishes as the only one. `Ok` when it was asked to stop.
async fn lead(
    inner: &Arc<Inner>,
    store: &EventStore,
    prepared: Prepared,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Interruption> {
    let topic = store.topic();
    let Prepared { mut lease, limit, writer } = prepared;
    tracing::info!(%topic, position = lease.position, "publishing");
    let _leads = Raised::new(gauge!(crate::metrics::RELAY_LEADS, "topic" => topic.name()));
    let acks = Arc::new(Acks::new(lease.position));
    let sender = Sender::new(inner, topic, limit, acks.clone(), writer)?;
    let reader = inner.feed.read(topic, lease.position);
    let outcome = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => Ok(()),
        failure = acks.failure() => Err(failure.into()),
        Err(interruption) = hold(topic, &mut lease, &acks, inner.config.stuck_after) => Err(interruption),
        Err(interruption) = send(inner, topic, reader, &sender, limit, &acks) => Err(interruption),
    };
    match outcome {
        Ok(()) => {
            let flushed = lease.meanwhile(timeout(FLUSH, acks.all())).await;
            sender.end(inner).await;
            match flushed? {
                Ok(true) => lease.release(acks.through()).await?,
                _ => {
                    tracing::warn!(%topic, "stopped with messages on their way");
                    lease.beat(acks.through()).await?;
                }
            }
            Ok(())
        }
        Err(interruption) => {
            // Before the database is asked for anything: what has not left must not leave any more.
            sender.end(inner).await;
            match interruption {
                Interruption::Lease(_) => {}
                Interruption::MadeAnew => lease.rewind().await?,
                _ => lease.beat(acks.through()).await?,
            }
            Err(interruption)
        }
    }
}

/// Makes sure that nobody else publishes, keeps how far it has come, and ends when it comes no further.
async fn hold(
    topic: Topic,
    lease: &mut Lease,
    acks: &Acks,
    patience: Duration,
) -> Result<Infallible, Interruption> {
    let published = gauge!(crate::metrics::RELAY_PUBLISHED_POSITION, "topic" => topic.name());
    loop {
        let through = acks.through();
        lease.beat(through).await?;
        published.set(through as f64);
        if acks.waiting().is_some_and(|waiting| waiting > patience) {
            return Err(Interruption::Stuck(patience));
        }
        sleep(BEAT).await;
    }
}

async fn send(
    inner: &Arc<Inner>,
    topic: Topic,
    mut reader: Reader,
    sender: &Sender,
    limit: usize,
    acks: &Acks,
) -> Result<Infallible, Interruption> {
    loop {
        let room = acks.room().await;
        let events = reader.take(room.min(AT_ONCE)).await?;
        let _span = relay_span(topic, &events);
        for event in events {
            if wire::weight(&event) > limit {
                return until_larger(inner, topic, event.position, wire::weight(&event), limit).await;
            }
            while !sender.send(&event)? {
                sleep(FULL).await;
            }
        }
    }
}

/// The hand-over of some events to the brokers' client: work of many traces, which it links to.
fn relay_span(topic: Topic, events: &[Arc<Envelope>]) -> Span {
    if !telemetry::exporting() || events.is_empty() {
        return Span::none();
    }
    let published = events.iter().filter_map(|event| TraceContext::parse(event.traceparent.as_deref()?));
    let mut span = Span::for_many(topic.service(), SpanKind::Client, format!("send {topic}"), published);
    span.set("messaging.system", "kafka");
    span.set("messaging.operation.name", "send");
    span.set("messaging.operation.type", "send");
    span.set("messaging.destination.name", topic.name());
    span.set("messaging.batch.message_count", events.len());
    span
}

/// An event that the topic does not take: everything behind it waits.
async fn until_larger(
    inner: &Arc<Inner>,
    topic: Topic,
    position: i64,
    bytes: usize,
    limit: usize,
) -> Result<Infallible, Interruption> {
    let _blocked = Raised::new(gauge!(crate::metrics::RELAY_BLOCKED, "topic" => topic.name()));
    loop {
        tracing::error!(
            %topic, position, bytes, limit,
            "an event is too large for its topic; nothing behind it is published until max.message.bytes is raised"
        );
        sleep(LOOK).await;
        match topics::limit(inner, topic).await {
            Ok(now) if now >= bytes => return Err(Interruption::LimitChanged),
            Ok(_) => {}
            Err(error) => tracing::debug!(%topic, %error, "the topic's limit cannot be asked for"),
        }
    }
}
