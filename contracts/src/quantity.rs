//! How many pieces: never zero, never negative, never absurd.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of pieces, 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "i64")]
pub struct Quantity(u32);

/// A quantity outside of 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a quantity is a whole number from 1 to {max}", max = Quantity::MAX.0)]
pub struct QuantityError;

impl Quantity {
    /// The most pieces that one line may ask for.
    pub const MAX: Quantity = Quantity(1_000_000);

    /// Checks the range.
    pub fn new(pieces: i64) -> Result<Self, QuantityError> {
        match u32::try_from(pieces) {
            Ok(pieces) if (1..=Self::MAX.0).contains(&pieces) => Ok(Self(pieces)),
            _ => Err(QuantityError),
        }
    }

    /// The number of pieces.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Both together, unless that is too many.
    pub fn checked_add(self, other: Quantity) -> Result<Self, QuantityError> {
        Self::new(i64::from(self.0) + i64::from(other.0))
    }
}

impl From<Quantity> for u32 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = QuantityError;

    fn try_from(pieces: i64) -> Result<Self, Self::Error> {
        Self::new(pieces)
    }
}

impl TryFrom<u32> for Quantity {
    type Error = QuantityError;

    fn try_from(pieces: u32) -> Result<Self, Self::Error> {
        Self::new(i64::from(pieces))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
