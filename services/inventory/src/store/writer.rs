//! Writes a batch by the one statement, and learns from it what could not be known before.

use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;
use viscount_chassis::store::{Batch, Writer, bind_events};
use viscount_contracts::ProductId;

use super::{
    blame,
    change::Change,
    columns::{ReservationColumns, StockColumns, bind_keys, bind_signs},
    hints::Hints,
    statement::STATEMENT,
};

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
        let stock = StockColumns::of(&changes);
        let reservations = ReservationColumns::of(&changes);
        let adjustments: Vec<_> = changes.iter().filter_map(|change| change.adjustment.as_ref()).collect();

        let query = bind_events(sqlx::query(STATEMENT.as_str()), batch);
        let query = reservations.bind(stock.bind(query));
        let query = bind_keys(bind_signs(query, &changes), &adjustments);
        let row = reservations.bind_rest(query.bind(self.low)).fetch_one(connection).await?;

        if let Some(products) = row.try_get::<Option<Vec<Uuid>>, _>(1)? {
            self.hints.add(products.into_iter().map(ProductId::from));
        }
        if let Some(bodies) = row.try_get::<Option<Vec<Vec<u8>>>, _>(2)? {
            for (adjustment, body) in adjustments.iter().zip(bodies) {
                let _ = adjustment.answer.set(body);
            }
        }
        row.try_get(0)
    }

    async fn blame(&self, pool: &PgPool, batch: &Batch<'_, Change>) -> Result<Vec<bool>, sqlx::Error> {
        blame::culprits(pool, &batch.projections().collect::<Vec<_>>()).await
    }
}
