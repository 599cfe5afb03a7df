//! The price book: what the catalogue offers, as this service knows it from the catalogue's events.
//!
//! Pricing an order asks nobody. The book is a table, and in memory while the service runs; the events that change it
//! go through the committer like everything else, so an import of thousands of products is a few transactions.
//!
//! Where replicas share the work, each writes a part of the table, and each follows the whole topic for its memory
//! ([`follow`]). A change that builds on an earlier one asks the table when memory has not seen that one.

mod follow;

pub use follow::follow;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_chassis::{
    consumer::{HandleError, Handler},
    store::{CommitError, Committer, Entry},
};
use viscount_contracts::{
    DecodeError, Envelope, Event as _, Money, ProductId, Quantity,
    events::catalog::v1::{PriceChanged, ProductCreated, ProductDeleted, ProductUpdated},
};

use crate::{
    domain::{self, Line, Offer, PriceError},
    metrics,
    store::Projection,
};

/// What one catalogue event changes.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which product.
    pub product: ProductId,
    /// The product's version in the catalogue.
    pub version: i32,
    /// The offer from now on.
    pub offer: Offer,
}

/// The offers of this moment. Cheap to clone.
#[derive(Clone, Default)]
pub struct PriceBook {
    offers: Arc<RwLock<HashMap<ProductId, (i32, Offer)>>>,
}

impl PriceBook {
    /// Prices lines at the offers of this moment.
    pub fn price(&self, wanted: &[(ProductId, Quantity)]) -> Result<(Arc<[Line]>, Money), PriceError> {
        let offers = self.offers.read();
        domain::price(wanted, |product| offers.get(&product).map(|(_, offer)| offer))
    }

    /// Reads the table into memory.
    pub async fn load(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let rows =
            sqlx::query("select product_id, sku, name, amount, currency, on_sale, version from price_book")
                .fetch_all(pool)
                .await?;
        let mut offers = HashMap::with_capacity(rows.len());
        let mut currencies = HashSet::new();
        for row in rows {
            let product = ProductId::from(row.try_get::<Uuid, _>("product_id")?);
            let (version, offer) = read(&row)?;
            currencies.insert(offer.price.currency());
            offers.insert(product, (version, offer));
        }
        currencies.into_iter().for_each(metrics::takes);
        *self.offers.write() = offers;
        Ok(())
    }

    /// What memory has of a product, or, when it may have missed what this event builds on, what the table has: the
    /// events of a product are handled in order, so whoever handled the one before has written it.
    async fn known(&self, pool: &PgPool, event: &Envelope) -> Result<Option<Offer>, sqlx::Error> {
        let product = ProductId::from(event.key);
        let remembered = self.offers.read().get(&product).cloned();
        if let Some((version, offer)) = &remembered
            && version + 1 >= event.version
        {
            return Ok(Some(offer.clone()));
        }
        let row = sqlx::query(
            "select sku, name, amount, currency, on_sale, version from price_book where product_id = $1",
        )
        .bind(product.uuid())
        .fetch_optional(pool)
        .await?;
        let stored = row.as_ref().map(read).transpose()?;
        Ok([remembered, stored]
            .into_iter()
            .flatten()
            .max_by_key(|(version, _)| *version)
            .map(|(_, offer)| offer))
    }

    fn turn(&self, change: Change) {
        let mut offers = self.offers.write();
        let known = offers.get(&change.product).map_or(0, |(version, _)| *version);
        if change.version > known {
            metrics::takes(change.offer.price.currency());
            offers.insert(change.product, (change.version, change.offer));
        }
    }

    /// What memory has of the product of an event.
    fn remembered(&self, event: &Envelope) -> Option<Offer> {
        self.offers.read().get(&ProductId::from(event.key)).map(|(_, offer)| offer.clone())
    }
}

/// True when an event says what changes, and not what the product then is.
fn builds_on_earlier(event: &Envelope) -> bool {
    [PriceChanged::KIND, ProductDeleted::KIND].contains(&event.kind.as_ref())
}

impl Change {
    /// What an event changes, given what was known of its product; `None` when nothing.
    pub fn of(event: &Envelope, known: Option<Offer>) -> Result<Option<Self>, DecodeError> {
        let product = ProductId::from(event.key);
        let offer = match event.kind.as_ref() {
            ProductCreated::KIND => {
                let created: ProductCreated = event.decode()?;
                let price = money::<ProductCreated>(event, created.price.as_ref())?;
                Some(Offer { sku: created.sku, name: created.name, price, on_sale: true })
            }
            ProductUpdated::KIND => {
                let updated: ProductUpdated = event.decode()?;
                let price = money::<ProductUpdated>(event, updated.price.as_ref())?;
                Some(Offer { sku: updated.sku, name: updated.name, price, on_sale: true })
            }
            PriceChanged::KIND => {
                let changed: PriceChanged = event.decode()?;
                let price = money::<PriceChanged>(event, changed.new_price.as_ref())?;
                known.map(|offer| Offer { price, ..offer })
            }
            ProductDeleted::KIND => known.map(|offer| Offer { on_sale: false, ..offer }),
            _ => None,
        };
        Ok(offer.map(|offer| Self { product, version: event.version, offer }))
    }
}

fn money<E: viscount_contracts::Event>(
    event: &Envelope,
    price: Option<&viscount_contracts::events::common::v1::Money>,
) -> Result<Money, DecodeError> {
    Money::try_from(price).map_err(|problem| event.unreadable::<E>(problem))
}

fn read(row: &PgRow) -> Result<(i32, Offer), sqlx::Error> {
    let currency = row
        .try_get::<String, _>("currency")?
        .parse()
        .map_err(|_| sqlx::Error::Decode("price_book.currency is not readable".into()))?;
    let offer = Offer {
        sku: row.try_get("sku")?,
        name: row.try_get("name")?,
        price: Money::new(row.try_get("amount")?, currency),
        on_sale: row.try_get("on_sale")?,
    };
    Ok((row.try_get("version")?, offer))
}

/// Writes catalogue events into the book.
#[derive(Clone)]
pub struct ToBook {
    /// The book.
    pub book: PriceBook,
    /// Reads.
    pub pool: PgPool,
    /// Writes.
    pub committer: Committer<Projection>,
}

impl Handler for ToBook {
    fn wants(&self, event: &Envelope) -> bool {
        [ProductCreated::KIND, ProductUpdated::KIND, PriceChanged::KIND, ProductDeleted::KIND]
            .contains(&event.kind.as_ref())
    }

    fn handle(&self, event: Arc<Envelope>) -> impl Future<Output = Result<(), HandleError>> + 'static {
        let Self { book, pool, committer } = self.clone();
        async move {
            let known = match builds_on_earlier(&event) {
                true => {
                    book.known(&pool, &event).await.map_err(|error| HandleError::Away(error.to_string()))?
                }
                false => None,
            };
            let change = Change::of(&event, known).map_err(|error| HandleError::Poison(error.to_string()))?;
            let Some(change) = change else { return Ok(()) };
            let entry = Entry {
                events: Vec::new(),
                inbox: Some(event.id),
                projection: Projection::Offer(change.clone()),
            };
            match committer.commit(entry).await {
                Ok(_) | Err(CommitError::Duplicate) => {
                    book.turn(change);
                    Ok(())
                }
                Err(CommitError::Refused { constraint }) => Err(HandleError::Poison(constraint)),
                Err(error) => Err(HandleError::Away(error.to_string())),
            }
        }
    }
}
