//! What a service can say about one key (an order, say) that does not go on: evidence, not a verdict.
//!
//! Where the service's consumers stand in the partition that the key is in, whether events of the key are parked, which of
//! its actors are down, which breakers are open, whether what it commits gets out, and what the service itself knows
//! ([`Note`]). Everything is asked for at the moment when somebody wants to know: nothing is kept or counted for it, so it
//! costs nothing while nobody asks. Who puts it together for an order is the coordination service.

mod actors;
mod gather;
mod wire;

use std::{future::Future, sync::Arc, time::Duration};

use actix_web::web::ServiceConfig;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;
use viscount_contracts::Topic;

pub use actors::of as actors_of;
pub use wire::{ActorEvidence, BreakerEvidence, ConsumerEvidence, Explanation, Note, Parked, RelayEvidence};

use crate::{
    log::{BoxFuture, EventLog},
    resilience::BreakerState,
};

/// How long each source may take. Who asks waits a second.
const PATIENCE: Duration = Duration::from_millis(600);

type Breaker = (&'static str, Box<dyn Fn() -> BreakerState + Send + Sync>);
type Noting = Box<dyn Fn(PgPool, Uuid) -> BoxFuture<'static, Result<Vec<Note>, sqlx::Error>> + Send + Sync>;

/// Where a service's evidence comes from. A service registers it beside its routes ([`Explain::configure`]).
#[derive(Clone)]
pub struct Explain {
    inner: Arc<Inner>,
}

struct Inner {
    consumer: &'static str,
    reads: &'static [Topic],
    pool: PgPool,
    log: Arc<dyn EventLog>,
    breakers: Vec<Breaker>,
    noting: Option<Noting>,
    /// One question to the service's own tables at a time.
    asking: Arc<Semaphore>,
}

/// An [`Explain`] that is being put together.
pub struct Builder(Inner);

impl Explain {
    /// A service whose consumers are named `consumer` and read these topics; its database, and the log.
    pub fn of(
        consumer: &'static str,
        reads: &'static [Topic],
        pool: &PgPool,
        log: &Arc<dyn EventLog>,
    ) -> Builder {
        let (pool, log, asking) = (pool.clone(), log.clone(), Arc::new(Semaphore::new(1)));
        Builder(Inner { consumer, reads, pool, log, breakers: Vec::new(), noting: None, asking })
    }

    /// Lets the service's port answer with it.
    pub fn configure(&self, app: &mut ServiceConfig) {
        app.app_data(self.clone());
    }
}

impl Builder {
    /// A breaker, and how to look at it.
    pub fn breaker(
        mut self,
        name: &'static str,
        look: impl Fn() -> BreakerState + Send + Sync + 'static,
    ) -> Self {
        self.0.breakers.push((name, Box::new(look)));
        self
    }

    /// What the service knows of a key, from its own tables. Only one of these is under way at a time, so that
    /// asking while a table is locked takes no more than one connection from those who work.
    pub fn noting<F, Fut>(mut self, note: F) -> Self
    where
        F: Fn(PgPool, Uuid) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<Note>, sqlx::Error>> + Send + 'static,
    {
        self.0.noting = Some(Box::new(move |pool, key| Box::pin(note(pool, key))));
        self
    }

    /// Ready to be asked.
    pub fn build(self) -> Explain {
        Explain { inner: Arc::new(self.0) }
    }
}
