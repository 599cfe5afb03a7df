//! What the service's own tables need to know of one entry.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use viscount_chassis::idempotency::Claim;
use viscount_contracts::{ProductId, ReservationId};

use crate::domain::{Movement, Portion, Sign, State};

/// All that one entry changes besides events and inbox. Stock itself is not in it: it follows from the movements.
#[derive(Debug, Default)]
pub struct Change {
    /// The reservation.
    pub reservation: Option<Row>,
    /// What the reservation holds from now on.
    pub portions: Vec<Portion>,
    /// The ledger.
    pub movements: Vec<Movement>,
    /// What others know of a product from now on.
    pub sign: Option<(ProductId, Sign)>,
    /// The answer to an adjustment, under its key.
    pub adjustment: Option<AdjustmentRecord>,
}

/// How the row of a reservation changes. Every step is guarded by the state before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// It was never heard of.
    Open {
        /// Which.
        id: ReservationId,
        /// It belongs to an order.
        of_order: bool,
        /// Where it stands.
        state: State,
        /// The version of its newest event.
        version: i32,
        /// When it ends by itself.
        expires_at: Option<Timestamp>,
    },
    /// It goes on.
    Step {
        /// Which.
        id: ReservationId,
        /// Where it stood.
        from: State,
        /// Where it stands.
        to: State,
        /// The version of its newest event.
        version: i32,
    },
}

impl Row {
    /// Which reservation.
    pub fn id(&self) -> ReservationId {
        match self {
            Row::Open { id, .. } | Row::Step { id, .. } => *id,
        }
    }
}

/// The key of an adjustment and the place where its answer appears: the stock as the statement left it.
#[derive(Debug)]
pub struct AdjustmentRecord {
    /// What was adjusted.
    pub product: ProductId,
    /// Under which key.
    pub claim: Claim,
    /// The answer, once it is written.
    pub answer: Arc<OnceLock<Vec<u8>>>,
}
