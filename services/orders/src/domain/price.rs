//! From what the buyer asks for to what the order fixes: the catalogue's prices of that moment, every sum checked.

use std::{collections::BTreeMap, sync::Arc};

use viscount_contracts::{Money, ProductId, Quantity, UserId};

use super::{Address, Line, PaymentMeans};

/// The most lines that one order may have.
pub const MAX_LINES: usize = 1_000;

/// What the catalogue says of a product.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its stock keeping unit.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// What one piece costs.
    pub price: Money,
    /// False once it was archived.
    pub on_sale: bool,
}

/// An order about to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Whose.
    pub customer: UserId,
    /// What, priced.
    pub lines: Arc<[Line]>,
    /// What it costs.
    pub total: Money,
    /// How it is paid.
    pub means: PaymentMeans,
    /// Where it goes.
    pub address: Option<Address>,
}

/// Why lines cannot be priced. Indices are those of the request's lines.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PriceError {
    /// No lines, or more than [`MAX_LINES`].
    #[error("an order has 1 to {MAX_LINES} lines")]
    LineCount,
    /// Not in the catalogue, or no longer on sale.
    #[error("there is no such product on sale")]
    UnknownProduct {
        /// Every line concerned.
        lines: Vec<usize>,
    },
    /// Two lines with one product add up to too many pieces.
    #[error("too many pieces of one product")]
    Quantity {
        /// The line that made it too many.
        line: usize,
    },
    /// Lines of different currencies.
    #[error("all lines of an order are in one currency")]
    Currencies {
        /// The first line of another currency.
        line: usize,
    },
    /// The sum does not fit.
    #[error("the order's total is too large")]
    TooLarge,
}

/// Prices lines with what `book` says of each product. Two lines with one product become one.
pub fn price<'a>(
    wanted: &[(ProductId, Quantity)],
    book: impl Fn(ProductId) -> Option<&'a Offer>,
) -> Result<(Arc<[Line]>, Money), PriceError> {
    if wanted.is_empty() || wanted.len() > MAX_LINES {
        return Err(PriceError::LineCount);
    }
    let offers: Vec<_> =
        wanted.iter().map(|(product, _)| book(*product).filter(|offer| offer.on_sale)).collect();
    let unknown: Vec<usize> =
        offers.iter().enumerate().filter(|(_, offer)| offer.is_none()).map(|(line, _)| line).collect();
    if !unknown.is_empty() {
        return Err(PriceError::UnknownProduct { lines: unknown });
    }

    let mut lines: Vec<Line> = Vec::with_capacity(wanted.len());
    let mut seen = BTreeMap::new();
    for (index, ((product, quantity), offer)) in wanted.iter().zip(offers.into_iter().flatten()).enumerate() {
        if let Some(first) = lines.first()
            && first.unit_price.currency() != offer.price.currency()
        {
            return Err(PriceError::Currencies { line: index });
        }
        match seen.get(product) {
            Some(&at) => {
                let line: &mut Line = &mut lines[at];
                line.quantity =
                    line.quantity.checked_add(*quantity).map_err(|_| PriceError::Quantity { line: index })?;
                line.line_total = line.unit_price.times(line.quantity).map_err(|_| PriceError::TooLarge)?;
            }
            None => {
                seen.insert(*product, lines.len());
                lines.push(Line {
                    product_id: *product,
                    sku: offer.sku.clone(),
                    name: offer.name.clone(),
                    quantity: *quantity,
                    unit_price: offer.price,
                    line_total: offer.price.times(*quantity).map_err(|_| PriceError::TooLarge)?,
                });
            }
        }
    }
    let currency = lines[0].unit_price.currency();
    let total = lines
        .iter()
        .try_fold(Money::zero(currency), |sum, line| sum.checked_add(line.line_total))
        .map_err(|_| PriceError::TooLarge)?;
    Ok((lines.into(), total))
}
