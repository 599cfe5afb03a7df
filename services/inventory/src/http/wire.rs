//! What goes over the wire, and its schemas. Parsing into the domain's types happens in the handlers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use viscount_contracts::{ProductId, Quantity, ReservationId};

use crate::{
    domain::{Balance, Kind, Reservation, State},
    store::{LowStock, MovementRow},
};

/// The stock of one product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stock)]
pub struct StockBody {
    /// Which.
    #[schema(value_type = Uuid)]
    pub product_id: ProductId,
    /// In the house.
    pub on_hand: i64,
    /// Of that, held for reservations.
    pub reserved: i64,
    /// What can still be reserved.
    pub available: i64,
    /// Grows with every change.
    pub version: i64,
    /// Where it lies.
    pub locations: Vec<LevelBody>,
}

/// The stock at one place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StockLevel)]
pub struct LevelBody {
    /// The place.
    pub location: String,
    /// In the house.
    pub on_hand: i64,
    /// Of that, held for reservations.
    pub reserved: i64,
}

impl From<Balance> for StockBody {
    fn from(balance: Balance) -> Self {
        let (totals, version) = (balance.totals(), balance.version());
        let level = |level: crate::domain::Level| LevelBody {
            location: level.location.to_string(),
            on_hand: level.on_hand,
            reserved: level.reserved,
        };
        Self {
            product_id: balance.product,
            on_hand: totals.on_hand,
            reserved: totals.reserved,
            available: totals.available(),
            version,
            locations: balance.levels.into_iter().map(level).collect(),
        }
    }
}

/// A product of which there is little.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LowStock)]
pub struct LowStockBody {
    /// Which.
    #[schema(value_type = Uuid)]
    pub product_id: ProductId,
    /// In the house.
    pub on_hand: i64,
    /// Of that, held for reservations.
    pub reserved: i64,
    /// What can still be reserved.
    pub available: i64,
}

impl From<LowStock> for LowStockBody {
    fn from(low: LowStock) -> Self {
        let LowStock { product, on_hand, reserved } = low;
        Self { product_id: product, on_hand, reserved, available: on_hand - reserved }
    }
}

/// One line of the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Movement)]
pub struct MovementBody {
    /// Its place in the ledger.
    pub id: i64,
    /// `receipt`, `correction`, `damage`, `return`, `reserve`, `release` or `sell`.
    pub kind: String,
    /// Where.
    pub location: String,
    /// Change of what is in the house.
    pub delta_on_hand: i32,
    /// Change of what is held.
    pub delta_reserved: i32,
    /// The reservation, when it was for one.
    pub reservation_id: Option<Uuid>,
    /// What a person said about it.
    pub note: Option<String>,
    /// The version of the stock at that place afterwards.
    pub version: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
}

impl From<MovementRow> for MovementBody {
    fn from(row: MovementRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            location: row.location,
            delta_on_hand: row.delta_on_hand,
            delta_reserved: row.delta_reserved,
            reservation_id: row.reservation,
            note: row.note,
            version: row.version,
            occurred_at: row.occurred_at,
        }
    }
}

/// A change of stock by hand.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustRequest {
    /// Of what.
    #[schema(value_type = Uuid)]
    pub product_id: ProductId,
    /// By how many pieces, not zero; what is taken away is negative.
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000)]
    pub delta: i32,
    /// Why.
    pub reason: AdjustReason,
    /// Where: 1 to 64 of `A-Z a-z 0-9 . _ -`; `main` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// For the ledger, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Why stock is changed by hand.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdjustReason {
    /// Goods came in.
    Receipt,
    /// Somebody counted.
    Correction,
    /// Something broke.
    Damage,
    /// A buyer sent something back.
    Return,
}

impl From<AdjustReason> for Kind {
    fn from(reason: AdjustReason) -> Self {
        match reason {
            AdjustReason::Receipt => Kind::Receipt,
            AdjustReason::Correction => Kind::Correction,
            AdjustReason::Damage => Kind::Damage,
            AdjustReason::Return => Kind::Return,
        }
    }
}

/// Asks for stock to be put aside: all lines or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveRequest {
    /// The caller's name for this reservation; asked again with it, the answer is the same.
    #[schema(value_type = Uuid)]
    pub reservation_id: ReservationId,
    /// What is wanted; lines of one product are added up.
    pub lines: Vec<WantedLine>,
    /// After so many seconds it ends by itself, 1 to 2,592,000 (30 days); 900 unless said otherwise.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub ttl_seconds: Option<u32>,
}

/// One line of a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedLine {
    /// Of what.
    #[schema(value_type = Uuid)]
    pub product_id: ProductId,
    /// Pieces, 1 to 1,000,000.
    #[schema(value_type = u32, minimum = 1, maximum = 1_000_000)]
    pub quantity: Quantity,
}

/// Gives a reservation back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Which.
    #[schema(value_type = Uuid)]
    pub reservation_id: ReservationId,
}

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub struct ReservationBody {
    /// Which.
    #[schema(value_type = Uuid)]
    pub reservation_id: ReservationId,
    /// `held`, `released`, `expired` or `rejected`.
    #[schema(value_type = String)]
    pub state: &'static str,
    /// What it holds, or held, each product once.
    pub lines: Vec<LineBody>,
    /// When it ends by itself, as long as it is held.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// One line of a reservation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReservationLine)]
pub struct LineBody {
    /// Of what.
    #[schema(value_type = Uuid)]
    pub product_id: ProductId,
    /// Pieces.
    pub quantity: u32,
}

impl From<&Reservation> for ReservationBody {
    fn from(reservation: &Reservation) -> Self {
        let line = |(product_id, quantity)| LineBody { product_id, quantity };
        Self {
            reservation_id: reservation.id,
            state: reservation.state.name(),
            lines: reservation.lines().into_iter().map(line).collect(),
            expires_at: reservation.expires_at.filter(|_| reservation.state == State::Held),
        }
    }
}
