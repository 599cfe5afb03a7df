//! Writes a batch: turns its entries into columns, and learns from the statement what it could not know before.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use parking_lot::Mutex;
use sqlx::{PgConnection, PgPool, Row as _};
use tokio::sync::Notify;
use uuid::Uuid;
use viscount_chassis::store::{Batch, Writer, bind_events};
use viscount_contracts::ProductId;

use super::{
    blame,
    change::{Change, Row},
    statement::STATEMENT,
};
use crate::domain::{Sign, net};

/// Products of which others may know the wrong thing, until somebody has looked. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hints {
    inner: Arc<(Mutex<HashSet<ProductId>>, Notify)>,
}

impl Hints {
    /// More than this are forgotten: the announcer's regular look at everything finds them.
    const MOST: usize = 20_000;

    /// Says that these products want looking at.
    pub fn add(&self, products: impl IntoIterator<Item = ProductId>) {
        let mut hinted = self.inner.0.lock();
        for product in products {
            if hinted.len() < Self::MOST {
                hinted.insert(product);
            }
        }
        drop(hinted);
        self.inner.1.notify_one();
    }

    /// Takes what there is.
    pub fn take(&self) -> Vec<ProductId> {
        std::mem::take(&mut *self.inner.0.lock()).into_iter().collect()
    }

    /// Waits until something was added since the last wait.
    pub async fn added(&self) {
        self.inner.1.notified().await;
    }
}

/// Writes the service's own tables.
pub struct InventoryWriter {
    low: i64,
    hints: Hints,
}

impl InventoryWriter {
    /// A writer that hints at products whose availability is at most `low` before or after a batch.
    pub fn new(low: u32, hints: Hints) -> Self {
        Self { low: i64::from(low), hints }
    }
}

impl Writer for InventoryWriter {
    type Projection = Change;

    async fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, Change>,
    ) -> Result<i64, sqlx::Error> {
        let changes: Vec<&Change> = batch.projections().collect();

        let net = net(changes.iter().flat_map(|change| &change.movements));
        let mut stock = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut slots = BTreeMap::new();
        for (slot, ((product, location), (on_hand, reserved))) in (1i32..).zip(&net) {
            stock.0.push(product.uuid());
            stock.1.push(location.as_str());
            stock.2.push(*on_hand);
            stock.3.push(*reserved);
            slots.insert((*product, location), slot);
        }

        let mut ledger =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for movement in changes.iter().flat_map(|change| &change.movements) {
            ledger.0.push(movement.product.uuid());
            ledger.1.push(movement.location.as_str());
            ledger.2.push(slots.get(&(movement.product, &movement.location)).copied().unwrap_or(0));
            ledger.3.push(movement.kind.name());
            ledger.4.push(movement.reservation.map(|id| id.uuid()));
            ledger.5.push(movement.on_hand);
            ledger.6.push(movement.reserved);
            ledger.7.push(movement.note.as_deref());
        }

        let mut opened: (Vec<Uuid>, Vec<bool>, Vec<&str>, Vec<i32>, Vec<Option<SqlTimestamp>>) =
            Default::default();
        let mut stepped: (Vec<Uuid>, Vec<&str>, Vec<&str>, Vec<i32>) = Default::default();
        let mut lined: (Vec<Uuid>, Vec<Uuid>, Vec<&str>, Vec<i32>) = Default::default();
        for change in &changes {
            let Some(row) = &change.reservation else { continue };
            match row {
                Row::Open { id, of_order, state, version, expires_at } => {
                    opened.0.push(id.uuid());
                    opened.1.push(*of_order);
                    opened.2.push(state.name());
                    opened.3.push(*version);
                    opened.4.push(expires_at.map(|at| at.to_sqlx()));
                }
                Row::Step { id, from, to, version } => {
                    stepped.0.push(id.uuid());
                    stepped.1.push(from.name());
                    stepped.2.push(to.name());
                    stepped.3.push(*version);
                }
            }
            for portion in &change.portions {
                lined.0.push(row.id().uuid());
                lined.1.push(portion.product.uuid());
                lined.2.push(portion.location.as_str());
                lined.3.push(i32::try_from(portion.quantity).unwrap_or(i32::MAX));
            }
        }

        // One row cannot be written twice by one statement; the newest word counts.
        let signs: BTreeMap<ProductId, Sign> = changes.iter().filter_map(|change| change.sign).collect();
        let mut told: (Vec<Uuid>, Vec<bool>, Vec<bool>) = Default::default();
        for (product, sign) in signs {
            told.0.push(product.uuid());
            told.1.push(sign.in_stock);
            told.2.push(sign.low);
        }

        let adjustments: Vec<_> = changes.iter().filter_map(|change| change.adjustment.as_ref()).collect();
        let mut keys: (Vec<Uuid>, Vec<Uuid>, Vec<&str>, Vec<&[u8]>) = Default::default();
        for adjustment in &adjustments {
            keys.0.push(adjustment.product.uuid());
            keys.1.push(adjustment.claim.principal);
            keys.2.push(&adjustment.claim.key);
            keys.3.push(&adjustment.claim.fingerprint);
        }

        let query = bind_events(sqlx::query(STATEMENT.as_str()), batch)
            .bind(stock.0)
            .bind(stock.1)
            .bind(stock.2)
            .bind(stock.3)
            .bind(ledger.0)
            .bind(ledger.1)
            .bind(ledger.2)
            .bind(ledger.3)
            .bind(ledger.4)
            .bind(ledger.5)
            .bind(ledger.6)
            .bind(ledger.7)
            .bind(opened.0)
            .bind(opened.1)
            .bind(opened.2)
            .bind(opened.3)
            .bind(opened.4)
            .bind(lined.0)
            .bind(lined.1)
            .bind(lined.2)
            .bind(lined.3)
            .bind(stepped.0)
            .bind(stepped.1)
            .bind(stepped.2)
            .bind(stepped.3)
            .bind(told.0)
            .bind(told.1)
            .bind(told.2)
            .bind(keys.0)
            .bind(keys.1)
            .bind(keys.2)
            .bind(keys.3)
            .bind(self.low);
        let row = query.fetch_one(connection).await?;

        let position = row.try_get(0)?;
        if let Some(products) = row.try_get::<Option<Vec<Uuid>>, _>(1)? {
            self.hints.add(products.into_iter().map(ProductId::from));
        }
        if let Some(bodies) = row.try_get::<Option<Vec<Vec<u8>>>, _>(2)? {
            for (adjustment, body) in adjustments.iter().zip(bodies) {
                let _ = adjustment.answer.set(body);
            }
        }
        Ok(position)
    }

    async fn blame(&self, pool: &PgPool, batch: &Batch<'_, Change>) -> Result<Vec<bool>, sqlx::Error> {
        blame::culprits(pool, &batch.projections().collect::<Vec<_>>()).await
    }
}
