//! One lane per key: events of a key one after the other, lanes side by side.
//!
//! Each event runs as a task of its own, not as a future that the consumer polls: while the consumer waits for a
//! database connection to save its place, the handlers that hold the connections have to be able to finish.

use std::{
    collections::{HashMap, VecDeque},
    iter,
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::Arc,
};

use futures_util::FutureExt;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;
use viscount_contracts::Envelope;

use super::{ConsumerSpec, Done, Failure, HandleError, Handler, progress::Slot};
use crate::{
    dead_letters::Tries,
    failpoint,
    telemetry::{self, LOG_SYSTEM, Span, SpanKind, TraceContext},
};

/// An event in hand, and where it came from.
pub(super) struct Item {
    pub(super) slot: Slot,
    pub(super) event: Arc<Envelope>,
}

/// The way of a key that has an event running.
struct Lane {
    running: Slot,
    /// What came after it.
    waiting: VecDeque<Item>,
}

/// The lanes of one consumer.
pub(super) struct Lanes<H> {
    spec: Rc<ConsumerSpec>,
    handler: Rc<H>,
    /// Ends with the lanes.
    running: JoinSet<Done>,
    /// Of the keys that have an event running.
    open: HashMap<Uuid, Lane>,
}

impl<H: Handler> Lanes<H> {
    pub(super) fn new(spec: &ConsumerSpec, handler: Rc<H>) -> Self {
        let spec = Rc::new(spec.clone());
        Self { spec, handler, running: JoinSet::new(), open: HashMap::new() }
    }

    /// Takes an event in; it runs at once when its key is free.
    pub(super) fn push(&mut self, item: Item) {
        match self.open.get_mut(&item.event.key) {
            Some(lane) => lane.waiting.push_back(item),
            None => {
                self.open.insert(item.event.key, Lane { running: item.slot, waiting: VecDeque::new() });
                self.run(item);
            }
        }
    }

    /// Forgets what waits of these partitions, without having begun it; what runs goes on.
    pub(super) fn forget(&mut self, partitions: &[i32]) -> Vec<Slot> {
        let mut forgotten = Vec::new();
        for lane in self.open.values_mut() {
            lane.waiting.retain(|item| {
                let gone = partitions.contains(&item.slot.partition);
                if gone {
                    forgotten.push(item.slot);
                }
                !gone
            });
        }
        forgotten
    }

    /// The next event that is through; `None` when none is running. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Done> {
        let done = match self.running.join_next().await? {
            Ok(done) => done,
            // Panics are contained inside; what is left is that the whole consumer is being stopped.
            Err(_) => return None,
        };
        if done.result.is_ok() {
            self.go_on(done.event.key);
        }
        Some(done)
    }

    /// Begins with what waited behind an event that is through.
    pub(super) fn go_on(&mut self, key: Uuid) {
        let Some(lane) = self.open.get_mut(&key) else { return };
        match lane.waiting.pop_front() {
            Some(follower) => {
                lane.running = follower.slot;
                self.run(follower);
            }
            None => {
                self.open.remove(&key);
            }
        }
    }

    /// Where what is in hand of this key came from.
    pub(super) fn slots(&self, key: Uuid) -> impl Iterator<Item = Slot> + '_ {
        let lane = self.open.get(&key).into_iter();
        lane.flat_map(|lane| iter::once(lane.running).chain(lane.waiting.iter().map(|item| item.slot)))
    }

    /// Closes the lane of a key whose event was given up, and gives what waited behind it.
    pub(super) fn close(&mut self, key: Uuid) -> VecDeque<Item> {
        self.open.remove(&key).map(|lane| lane.waiting).unwrap_or_default()
    }

    fn run(&mut self, item: Item) {
        let (spec, handler, Item { slot, event }) = (self.spec.clone(), self.handler.clone(), item);
        self.running.spawn_local(async move {
            let since = Instant::now();
            let result = attempts(&spec, handler.as_ref(), &event).await;
            Done { slot, event, since, result }
        });
    }
}

/// Tries until it works, or until the event itself is found to be the problem.
pub(super) async fn attempts<H: Handler>(
    spec: &ConsumerSpec,
    handler: &H,
    event: &Arc<Envelope>,
) -> Result<(), Failure> {
    let (mut poisonous, mut tries) = (0, Tries::default());
    let mut pause = spec.first_pause;
    loop {
        failpoint!("consumer.before-handle");
        let mut span = process_span(spec, event);
        let handling = AssertUnwindSafe(async {
            let handled = handler.handle(event.clone()).await;
            if let Err(HandleError::Away(reason)) = &handled {
                tracing::debug!(consumer = spec.consumer, %reason, "event waits");
            }
            handled
        });
        let poison = match span.scope(event.traceparent.as_deref(), handling.catch_unwind()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(HandleError::Away(_))) => {
                span.set("viscount.outcome", "waits");
                None
            }
            Ok(Err(HandleError::Poison(reason))) => {
                span.fail("poison");
                Some(reason)
            }
            Ok(Err(HandleError::SetAside(reason))) => {
                span.set("viscount.outcome", "set aside");
                tries.note(&reason);
                return Err(Failure { attempts: poisonous + 1, tries });
            }
            Err(_) => {
                span.fail("panic");
                Some("the handler panicked".to_owned())
            }
        };
        drop(span);
        if let Some(reason) = poison {
            poisonous += 1;
            tries.note(&reason);
            if poisonous >= spec.attempts {
                return Err(Failure { attempts: poisonous, tries });
            }
        }
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(spec.longest_pause);
    }
}

/// One try of one event, under the span that published it (OpenTelemetry's messaging conventions).
fn process_span(spec: &ConsumerSpec, event: &Envelope) -> Span {
    if !telemetry::exporting() {
        return Span::none();
    }
    let cause = event.traceparent.as_deref().and_then(TraceContext::parse);
    let mut span = Span::after(spec.consumer, SpanKind::Consumer, format!("process {}", spec.topic), cause);
    span.set("messaging.system", LOG_SYSTEM);
    span.set("messaging.operation.name", "process");
    span.set("messaging.operation.type", "process");
    span.set("messaging.destination.name", spec.topic.name());
    span.set("messaging.consumer.group.name", spec.consumer);
    span.set("messaging.message.id", event.id.to_string());
    span.set("viscount.event.type", event.kind.to_string());
    span.set("viscount.event.key", event.key.to_string());
    span.set("viscount.log.position", event.position);
    span
}
