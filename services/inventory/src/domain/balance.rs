//! One product as the database has it, and what follows from that: adjusting it, and telling others.

use viscount_contracts::ProductId;

use super::{Kind, Location, Movement, fits};

/// What lies at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Where.
    pub location: Location,
    /// In the house.
    pub on_hand: i64,
    /// Of that, held.
    pub reserved: i64,
    /// How often this changed.
    pub version: i64,
}

/// One product over all places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Which.
    pub product: ProductId,
    /// Where it lies, by name of the place; empty when the product was never here.
    pub levels: Vec<Level>,
    /// The newest version of the product's events.
    pub stream: i32,
    /// What others were last told.
    pub sign: Sign,
}

/// Sums over all places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// In the house.
    pub on_hand: i64,
    /// Of that, held.
    pub reserved: i64,
}

impl Totals {
    /// What could be held.
    pub const fn available(self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// What others know of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// There is some.
    pub in_stock: bool,
    /// There is little.
    pub low: bool,
}

impl Default for Sign {
    /// Of what was never spoken of there is none, and nobody needs to be warned of that.
    fn default() -> Self {
        Self { in_stock: false, low: true }
    }
}

impl Sign {
    /// What should be known.
    pub const fn of(totals: Totals, threshold: u32) -> Self {
        Self { in_stock: totals.available() > 0, low: totals.available() <= threshold as i64 }
    }
}

/// Something that others should be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Availability crossed between none and some.
    Crossed(Totals),
    /// Availability fell to the threshold or below.
    Low {
        /// What is left.
        available: i64,
        /// Of what counts as low.
        threshold: u32,
    },
}

/// A change by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// Where.
    pub location: Location,
    /// By how many, not zero.
    pub delta: i32,
    /// Why: receipt, correction, damage or return.
    pub kind: Kind,
    /// What a person said about it.
    pub note: Option<String>,
}

/// What follows from an adjustment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjusted {
    /// For the ledger.
    pub movement: Movement,
    /// For others.
    pub notices: Vec<Notice>,
    /// What others know then.
    pub sign: Sign,
}

/// An adjustment that would leave less than is held (or more than can be counted).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{on_hand} are there and {reserved} of them are reserved")]
pub struct BelowReserved {
    /// In the house at that place.
    pub on_hand: i64,
    /// Of that, held.
    pub reserved: i64,
}

impl Balance {
    /// A product that was never here.
    pub fn unknown(product: ProductId) -> Self {
        Self { product, levels: Vec::new(), stream: 0, sign: Sign::default() }
    }

    /// True when the product has ever been here.
    pub fn is_known(&self) -> bool {
        !self.levels.is_empty()
    }

    /// Sums over all places.
    pub fn totals(&self) -> Totals {
        Totals {
            on_hand: self.levels.iter().map(|level| level.on_hand).sum(),
            reserved: self.levels.iter().map(|level| level.reserved).sum(),
        }
    }

    /// Grows with every change, at whichever place.
    pub fn version(&self) -> i64 {
        self.levels.iter().map(|level| level.version).sum()
    }

    /// What others should be told now, and what they know then.
    pub fn notices(&self, threshold: u32) -> (Vec<Notice>, Sign) {
        notices(self.sign, self.totals(), threshold)
    }

    /// What an adjustment means.
    pub fn adjust(&self, adjustment: Adjustment, threshold: u32) -> Result<Adjusted, BelowReserved> {
        let level = self.levels.iter().find(|level| level.location == adjustment.location);
        let (on_hand, reserved) = level.map_or((0, 0), |level| (level.on_hand, level.reserved));
        let delta = i64::from(adjustment.delta);
        if !fits(on_hand + delta, reserved) {
            return Err(BelowReserved { on_hand, reserved });
        }
        let before = self.totals();
        let (notices, sign) =
            notices(self.sign, Totals { on_hand: before.on_hand + delta, ..before }, threshold);
        let movement = Movement {
            product: self.product,
            location: adjustment.location,
            kind: adjustment.kind,
            reservation: None,
            on_hand: adjustment.delta,
            reserved: 0,
            note: adjustment.note,
        };
        Ok(Adjusted { movement, notices, sign })
    }
}

fn notices(known: Sign, totals: Totals, threshold: u32) -> (Vec<Notice>, Sign) {
    let sign = Sign::of(totals, threshold);
    let mut notices = Vec::new();
    if sign.in_stock != known.in_stock {
        notices.push(Notice::Crossed(totals));
    }
    if sign.low && !known.low {
        notices.push(Notice::Low { available: totals.available(), threshold });
    }
    (notices, sign)
}
