//! What inventory tells, and what follows from it.
//!
//! Inventory's events and ours are not ordered against each other: news may come before the product is known here,
//! twice, or after newer news. So the newest is kept per product id, by inventory's own version, and whatever comes
//! late changes nothing.

use super::{Event, Product};

/// What inventory told of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Pieces that can be sold.
    pub available: u32,
    /// The version of inventory's event.
    pub version: i32,
}

/// What becomes of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Newer is known. Nothing to do.
    Late,
    /// To be kept, together with this event of ours, if any.
    Keep(Option<Event>),
}

/// Weighs news against what is known. A product sells out when the last known piece goes while it is on sale.
pub fn news(product: Option<&Product>, known: Option<Evidence>, told: Evidence) -> News {
    if known.is_some_and(|known| known.version >= told.version) {
        return News::Late;
    }
    let on_sale = product.is_some_and(|product| !product.archived);
    let last_piece_gone = known.is_some_and(|known| known.available > 0) && told.available == 0;
    News::Keep((on_sale && last_piece_gone).then_some(Event::SoldOut))
}
