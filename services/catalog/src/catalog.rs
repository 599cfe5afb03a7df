//! What may be done to the catalogue, from decision to commit.
//!
//! Every change goes the same way: read the product, decide with the pure core, hand the outcome to the group commit,
//! and believe in it only then. When another editor, or another replica, took the next version first, the change is
//! decided again on what is there now.

use jiff::Timestamp;
use metrics::counter;
use sqlx::PgPool;
use viscount_chassis::{
    store::{CommitError, Committer, Entry, NewEvent},
    telemetry::current_traceparent,
};
use viscount_contracts::{Currency, EventId, ProductId};

use crate::{
    domain::{Command, Details, Event, Evidence, Label, News, Product, Rejection, decide, evolve, news},
    metrics::CHANGES,
    store::{self, Listed, Projection, entry_events},
};

/// How often a change is decided again when others were faster.
const TRIES: usize = 16;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such product.
    #[error("there is no such product")]
    Unknown,
    /// Another product has the sku.
    #[error("another product has this sku")]
    SkuTaken,
    /// The product does not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The database could not be read.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The catalogue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    pool: PgPool,
    committer: Committer<Projection>,
    currency: Currency,
}

impl Catalog {
    /// The catalogue in this database.
    pub fn new(pool: PgPool, committer: Committer<Projection>, currency: Currency) -> Self {
        Self { pool, committer, currency }
    }

    /// Where it is kept.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// What prices are in.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// A new product. Nothing is read before: the database refuses a sku that is taken.
    pub async fn create(&self, details: Details) -> Result<Listed, Refusal> {
        let (id, at) = (ProductId::new(), now());
        let product = Product::new(id, details, at);
        let events = [Event::Created(Box::new(product.details.clone()))];
        for _ in 0..TRIES {
            let entry = entry(&product, None, 0, &events, at);
            match self.committer.commit(entry).await {
                Ok(_) => {
                    count(&events);
                    return Ok(Listed { product, in_stock: false });
                }
                Err(error) => self.again(error, &product).await?,
            }
        }
        Err(CommitError::Overloaded.into())
    }

    /// Does to a product what the command says; gives the product as it is then.
    pub async fn change(&self, id: ProductId, command: Command) -> Result<Listed, Refusal> {
        for _ in 0..TRIES {
            let Listed { product, in_stock } = store::load(&self.pool, id).await?.ok_or(Refusal::Unknown)?;
            let events = decide(&product, command.clone())?;
            if events.is_empty() {
                return Ok(Listed { product, in_stock });
            }
            let (at, before, was_in) = (now(), product.version, product.listed_in().cloned());
            let product = events.iter().fold(product, |product, event| evolve(product, event, at));
            match self.committer.commit(entry(&product, was_in, before, &events, at)).await {
                Ok(_) => {
                    count(&events);
                    return Ok(Listed { product, in_stock });
                }
                Err(error) => self.again(error, &product).await?,
            }
        }
        Err(CommitError::Overloaded.into())
    }

    /// Keeps what inventory told of a product, known here or not; `cause` is the event that told it.
    pub async fn told(
        &self,
        id: ProductId,
        told: Evidence,
        cause: EventId,
        traceparent: Option<&str>,
    ) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            let known = store::known(&self.pool, id).await?;
            let News::Keep(event) = news(known.product.as_ref(), known.evidence, told) else { return Ok(()) };
            let before = known.product.map_or(0, |product| product.version);
            let events: Vec<Event> = event.into_iter().collect();
            let sold_out = (!events.is_empty()).then_some(before + 1);
            let entry = Entry {
                events: entry_events(id, before, &events, now(), traceparent),
                inbox: Some(cause),
                projection: Projection::Stock { product: id, evidence: told, sold_out },
            };
            match self.committer.commit(entry).await {
                Ok(_) => {
                    count(&events);
                    return Ok(());
                }
                Err(CommitError::Duplicate) => return Ok(()),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Overloaded.into())
    }

    /// `Ok` when it is worth deciding again: another writer was faster, or the sku that stood in the way is not taken
    /// after all (it was wanted twice in one batch, and the other one came to nothing).
    async fn again(&self, error: CommitError, wanted: &Product) -> Result<(), Refusal> {
        match error {
            CommitError::Conflict => Ok(()),
            CommitError::Refused { .. } => {
                let taken = store::sku_taken(&self.pool, wanted.details.sku.as_str(), wanted.id).await?;
                if taken { Err(Refusal::SkuTaken) } else { Ok(()) }
            }
            error => Err(error.into()),
        }
    }
}

fn entry(
    product: &Product,
    was_in: Option<Label>,
    before: i32,
    events: &[Event],
    at: Timestamp,
) -> Entry<Projection> {
    let traceparent = current_traceparent();
    let events: Vec<NewEvent> = entry_events(product.id, before, events, at, traceparent.as_deref());
    Entry {
        events,
        inbox: None,
        projection: Projection::Product { product: Box::new(product.clone()), was_in },
    }
}

fn count(events: &[Event]) {
    for event in events {
        let change = match event {
            Event::Created(_) => "created",
            Event::Updated(_) => "updated",
            Event::PriceChanged { .. } => "price_changed",
            Event::Archived => "archived",
            Event::SoldOut => "sold_out",
        };
        counter!(CHANGES, "change" => change).increment(1);
    }
}

/// This moment, as exactly as the database keeps it: what is answered now is what is read later.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
