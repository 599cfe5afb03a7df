//! One watcher's way through an order's story.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::mpsc;
use viscount_chassis::{
    store::EventStore,
    telemetry::{self, TraceContext},
};
use viscount_contracts::{Envelope, OrderId};

use super::StreamHub;
use crate::{
    domain::{self, Order},
    store::{self, CodecError},
    view::EventView,
};

/// The story cannot be told at the moment.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] sqlx::Error),
    /// An event cannot be read.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Follows one order from a version on. The order is folded along, because an event's status depends on the past.
pub struct Session {
    id: OrderId,
    hub: StreamHub,
    store: EventStore,
    after: i32,
    order: Option<Order>,
    ready: VecDeque<EventView>,
    live: Option<mpsc::Receiver<Arc<Envelope>>>,
}

impl Session {
    /// The story behind version `after`.
    pub fn new(id: OrderId, after: i32, hub: StreamHub, store: EventStore) -> Self {
        Self { id, hub, store, after, order: None, ready: VecDeque::new(), live: None }
    }

    /// The next event; `None` when the order has settled and all is told. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<EventView>, StreamError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.order.as_ref().is_some_and(Order::is_settled) {
                return Ok(None);
            }
            let Some(live) = &mut self.live else {
                // Boxed: a watcher waits for long, and should not keep room for a question to the database.
                Box::pin(self.read_past()).await?;
                continue;
            };
            if self.ready.capacity() > 0 {
                self.ready = VecDeque::new();
            }
            match live.recv().await {
                Some(event) => self.take_live(&event)?,
                None => self.live = None,
            }
        }
    }

    /// True when the order has settled and there is nothing to tell behind the version asked for.
    pub async fn is_over(&mut self) -> Result<bool, StreamError> {
        if self.live.is_none() {
            Box::pin(self.read_past()).await?;
        }
        Ok(self.ready.is_empty() && self.order.as_ref().is_some_and(Order::is_settled))
    }

    async fn read_past(&mut self) -> Result<(), StreamError> {
        let live = self.hub.watch(self.id);
        for event in self.store.stream(self.id.uuid(), self.version()).await? {
            self.take(&event)?;
        }
        self.live = Some(live);
        Ok(())
    }

    fn take_live(&mut self, event: &Envelope) -> Result<(), StreamError> {
        match event.version - self.version() {
            1 => self.take(event)?,
            // A gap should not be; the store has what is missing.
            2.. => self.live = None,
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, envelope: &Envelope) -> Result<(), StreamError> {
        let event = store::decode(envelope)?;
        self.order = domain::evolve(self.id, self.order.take(), &event, envelope.occurred_at);
        if let Some(order) = &self.order
            && order.version > self.after
        {
            let mut view = EventView::new(&envelope.kind, &event, order);
            if telemetry::exporting() {
                view.trace = envelope.traceparent.as_deref().and_then(TraceContext::parse);
            }
            self.ready.push_back(view);
        }
        Ok(())
    }

    fn version(&self) -> i32 {
        self.order.as_ref().map_or(0, |order| order.version)
    }
}
