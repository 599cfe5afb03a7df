//! The one place where refusals meet status codes.

use std::time::Duration;

use viscount_actors::AskError;
use viscount_chassis::problem::Problem;

use crate::{
    actors::{AdjustError, DeskError},
    domain::{BelowReserved, LinesError, Reservation, State},
};

const SOON: Duration = Duration::from_secs(1);

fn overloaded() -> Problem {
    Problem::new(503, "overloaded", "Too much to do").with_detail("nothing was done").with_retry_after(SOON)
}

/// Nothing was decided.
pub fn undecided(error: DeskError) -> Problem {
    match error {
        DeskError::Overloaded => overloaded(),
        DeskError::TimedOut => Problem::deadline(),
        DeskError::Quarantined { kind, id } => AskError::Quarantined { kind, id }.into(),
        // Only events are handled twice, and no event comes over HTTP.
        DeskError::Handled => Problem::internal(),
        DeskError::Unavailable(reason) => {
            tracing::warn!(reason, "a reservation could not be decided");
            Problem::unavailable(
                "stock cannot be reached at the moment; repeat with the same reservation_id",
                SOON,
            )
        }
    }
}

/// Stock was not adjusted.
pub fn not_adjusted(error: AdjustError) -> Problem {
    match error {
        AdjustError::BelowReserved(BelowReserved { on_hand, reserved }) => {
            Problem::conflict("below-reserved", "Stock would not fit", error.to_string())
                .with_extension("on_hand", on_hand)
                .with_extension("reserved", reserved)
        }
        AdjustError::KeyTaken => Problem::unavailable("the first answer is not there yet", SOON),
        AdjustError::Overloaded => overloaded(),
        AdjustError::Away => {
            Problem::unavailable("the outcome is unknown; repeat with the same Idempotency-Key", SOON)
        }
    }
}

/// Lines that cannot be asked for.
pub fn unusable(error: LinesError) -> Problem {
    Problem::unprocessable(error.to_string()).with_error("/lines", error.to_string())
}

/// Not everything that was asked for is there.
pub fn insufficient(reservation: &Reservation) -> Problem {
    Problem::conflict("insufficient-stock", "Not enough stock", "nothing was reserved")
        .with_extension("lines", &reservation.short)
}

/// The reservation was made before, and is not what was asked for now.
pub fn different(detail: &str) -> Problem {
    Problem::conflict("reservation-exists", "Reservation exists", detail)
}

/// The reservation has ended.
pub fn ended(state: State) -> Problem {
    let detail = format!("this reservation is {}", state.name());
    Problem::conflict("reservation-ended", "Reservation has ended", detail)
        .with_extension("state", state.name())
}

/// The reservation belongs to an order.
pub fn of_order() -> Problem {
    let detail = "this reservation belongs to an order, and ends with it; cancel the order";
    Problem::conflict("reservation-of-order", "Reservation of an order", detail)
}
