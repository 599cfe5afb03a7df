//! The projection of this service's events, made anew: see [`viscount_chassis::replay`].
//!
//! What inventory told (`availability`) is none of them: whether a product has just sold out is decided against it, so it
//! may not run ahead of the events that are handled.

use viscount_chassis::replay::{Projection as Made, Replay, Table};
use viscount_contracts::{Envelope, ProductId, Topic};

use crate::{
    domain::{Event, Product, evolve},
    store::{CatalogWriter, Projection, stored_event},
};

const TABLES: [Table; 3] = [
    Table::new("products", &["product_id"]),
    // A category that was emptied is the same as one that never was.
    Table::new("categories", &["category"]).sparing("o.products = 0"),
    // Words that no product has any more do no harm.
    Table::new("search_words", &["word"]).sparing("true"),
];

/// `products`: products, how many are listed in each category, and the words that search knows.
pub fn projections() -> Vec<Box<dyn Replay>> {
    vec![Box::new(Made {
        name: "products",
        topic: Topic::Catalog,
        tables: &TABLES,
        others: &["availability"],
        writer: CatalogWriter::new(),
        steps,
    })]
}

/// The product as it is.
fn steps(before: &[Envelope], fresh: &[Envelope]) -> Result<Vec<Projection>, String> {
    let was = after(None, before)?;
    let was_in = was.as_ref().and_then(|product| product.listed_in().cloned());
    let product = if fresh.is_empty() { None } else { after(was, fresh)? };
    Ok(product
        .map(|product| Projection::Product { product: Box::new(product), was_in })
        .into_iter()
        .collect())
}

/// The product after these events.
fn after(product: Option<Product>, events: &[Envelope]) -> Result<Option<Product>, String> {
    events.iter().try_fold(product, |product, envelope| {
        let event = stored_event(envelope).map_err(|error| error.to_string())?;
        let at = envelope.occurred_at;
        Ok(match (product, event) {
            (product, None) => product,
            (Some(product), Some(event)) => Some(evolve(product, &event, at)),
            (None, Some(Event::Created(details))) => {
                Some(Product::new(ProductId::from(envelope.key), *details, at))
            }
            (None, Some(_)) => None,
        })
    })
}
