//! What an event changes. Total: an event that happened cannot be refused.

use jiff::Timestamp;

use super::{Details, Price, Product};

/// What can happen to a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is there.
    Created(Box<Details>),
    /// It is different.
    Updated(Box<Details>),
    /// It costs more, or less.
    PriceChanged {
        /// What it did cost.
        old: Price,
        /// What it costs.
        new: Price,
    },
    /// It is no longer sold.
    Archived,
    /// The last piece is gone.
    SoldOut,
}

/// The product after an event.
pub fn evolve(mut product: Product, event: &Event, at: Timestamp) -> Product {
    product.version += 1;
    match event {
        Event::Created(details) | Event::Updated(details) => product.details = (**details).clone(),
        Event::PriceChanged { new, .. } => product.details.price = *new,
        Event::Archived => product.archived = true,
        // Says something about stock, nothing about what an editor edits.
        Event::SoldOut => return product,
    }
    product.revision = product.version;
    product.updated_at = at;
    product
}
