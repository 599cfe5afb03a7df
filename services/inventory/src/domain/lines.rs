//! What a reservation asks for, and what it got or did not get.

use std::collections::BTreeMap;

use serde::Serialize;
use viscount_contracts::{ProductId, Quantity};

use super::Location;

/// How many pieces of which products: each product once, in the order of their ids.
///
/// The order matters: whoever holds one product and asks for the next always asks upwards, so that two reservations
/// never wait for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(Vec<(ProductId, Quantity)>);

/// Lines that cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// None at all.
    #[error("at least one line is needed")]
    Empty,
    /// Too many products.
    #[error("at most {max} products fit into one reservation", max = Lines::MAX)]
    TooMany,
    /// Lines of one product add up to more than anybody may ask for.
    #[error("the lines of product {0} add up to too many pieces")]
    TooMuch(ProductId),
}

impl Lines {
    /// The most products in one reservation.
    pub const MAX: usize = 1_000;

    /// Adds up lines of the same product.
    pub fn new(lines: impl IntoIterator<Item = (ProductId, Quantity)>) -> Result<Self, LinesError> {
        let mut wanted: BTreeMap<ProductId, Quantity> = BTreeMap::new();
        for (product, quantity) in lines {
            let sum = match wanted.get(&product) {
                Some(before) => before.checked_add(quantity).map_err(|_| LinesError::TooMuch(product))?,
                None => quantity,
            };
            wanted.insert(product, sum);
            if wanted.len() > Self::MAX {
                return Err(LinesError::TooMany);
            }
        }
        if wanted.is_empty() {
            return Err(LinesError::Empty);
        }
        Ok(Self(wanted.into_iter().collect()))
    }

    /// The lines in product order.
    pub fn iter(&self) -> impl Iterator<Item = (ProductId, Quantity)> {
        self.0.iter().copied()
    }
}

/// Pieces of one product at one place that belong to a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// Of what.
    pub product: ProductId,
    /// Where.
    pub location: Location,
    /// How many.
    pub quantity: u32,
}

/// A line of which there is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShortLine {
    /// Of what.
    pub product_id: ProductId,
    /// How many were asked for.
    pub wanted: u32,
    /// How many there were.
    pub available: u32,
}
