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
    LowStock, MovementRow, balances, expired, is_known, low_stock, mistold, movements, reservations,
};
pub use writer::InventoryWriter;
