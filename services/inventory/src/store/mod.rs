//! The service's tables: what is written, in one statement per batch, and what is read.

mod blame;
mod change;
mod codec;
mod columns;
mod hints;
mod loader;
mod reads;
mod statement;
mod writer;

pub use change::{AdjustmentRecord, Change, Row};
pub use codec::{adjusted, deducted, notices, rejected, released, reserved, short_lines};
pub use hints::Hints;
pub use loader::{Loader, NotLoaded};
pub use reads::{
    LowStock, MovementRow, after, balances, expired, is_known, low_stock, mistold, movements, reservations,
};
pub use writer::InventoryWriter;

/// The defect of a missing guard: from now on the table takes what is not there. See `viscount_chassis::failpoint`.
pub async fn without_bounds(pool: &sqlx::PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("alter table stock drop constraint if exists stock_bounds").execute(pool).await.map(drop)
}
