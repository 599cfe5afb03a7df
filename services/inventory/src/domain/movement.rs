//! The ledger: every change of stock is a movement, and the sum of all movements is the balance.

use std::collections::BTreeMap;

use viscount_contracts::{ProductId, ReservationId};

use super::{Location, Portion};

/// The most pieces that may lie in one place.
pub const MOST_ON_HAND: i64 = 1_000_000_000;

/// Why stock changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goods came in.
    Receipt,
    /// Somebody counted.
    Correction,
    /// Something broke.
    Damage,
    /// A buyer sent something back.
    Return,
    /// Held for a reservation.
    Reserve,
    /// No longer held.
    Release,
    /// Left the house.
    Sell,
}

impl Kind {
    /// As it is stored, told and asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Receipt => "receipt",
            Kind::Correction => "correction",
            Kind::Damage => "damage",
            Kind::Return => "return",
            Kind::Reserve => "reserve",
            Kind::Release => "release",
            Kind::Sell => "sell",
        }
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Of what.
    pub product: ProductId,
    /// Where.
    pub location: Location,
    /// Why.
    pub kind: Kind,
    /// For whom.
    pub reservation: Option<ReservationId>,
    /// Change of what is in the house.
    pub on_hand: i32,
    /// Change of what is held.
    pub reserved: i32,
    /// What a person said about it.
    pub note: Option<String>,
}

impl Movement {
    fn of(reservation: ReservationId, portion: &Portion, kind: Kind, on_hand: i32, reserved: i32) -> Self {
        Self {
            product: portion.product,
            location: portion.location.clone(),
            kind,
            reservation: Some(reservation),
            on_hand,
            reserved,
            note: None,
        }
    }

    /// The portions are held from now on.
    pub fn reserve(reservation: ReservationId, portions: &[Portion]) -> impl Iterator<Item = Self> {
        portions.iter().map(move |portion| Self::of(reservation, portion, Kind::Reserve, 0, pieces(portion)))
    }

    /// The portions are free again.
    pub fn release(reservation: ReservationId, portions: &[Portion]) -> impl Iterator<Item = Self> {
        portions.iter().map(move |portion| Self::of(reservation, portion, Kind::Release, 0, -pieces(portion)))
    }

    /// The portions have left the house.
    pub fn sell(reservation: ReservationId, portions: &[Portion]) -> impl Iterator<Item = Self> {
        portions.iter().map(move |portion| {
            Self::of(reservation, portion, Kind::Sell, -pieces(portion), -pieces(portion))
        })
    }
}

fn pieces(portion: &Portion) -> i32 {
    // A quantity never exceeds a million.
    i32::try_from(portion.quantity).unwrap_or(i32::MAX)
}

/// Movements added up: for each product and place, in order, the change of what is there and of what is held.
pub type Net = BTreeMap<(ProductId, Location), (i64, i64)>;

/// Adds movements up. However many touch one product, its row is written once.
pub fn net<'a>(movements: impl Iterator<Item = &'a Movement>) -> Net {
    let mut net = Net::new();
    for movement in movements {
        let (on_hand, reserved) = net.entry((movement.product, movement.location.clone())).or_default();
        *on_hand += i64::from(movement.on_hand);
        *reserved += i64::from(movement.reserved);
    }
    net
}

/// The rule of the house: nothing is held that is not there. The database checks the same.
pub fn fits(on_hand: i64, reserved: i64) -> bool {
    (0..=on_hand).contains(&reserved) && on_hand <= MOST_ON_HAND
}
