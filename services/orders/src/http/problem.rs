//! The one place where the domain's refusals meet status codes.

use std::time::Duration;

use viscount_chassis::problem::Problem;

use crate::{
    actors::Refusal,
    domain::{PriceError, Rejection},
};

/// The problem that tells a refusal.
pub fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Rejected(rejection) => rejected(&rejection),
        Refusal::Commit(error) => error.into(),
        Refusal::KeyTaken => {
            Problem::unavailable("the first answer is not there yet", Duration::from_secs(1))
        }
        Refusal::Store(error) => {
            tracing::warn!(%error, "an order could not be read");
            Problem::unavailable("the order cannot be read at the moment", Duration::from_secs(1))
        }
    }
}

fn rejected(rejection: &Rejection) -> Problem {
    let detail = rejection.to_string();
    match rejection {
        Rejection::Unknown => Problem::not_found("order"),
        Rejection::Exists => Problem::conflict("order-exists", "Order exists", detail),
        Rejection::WrongStatus { status, .. } => {
            Problem::conflict("order-state", "Not possible in this status", detail)
                .with_extension("order_status", status)
        }
        Rejection::RefundTooLarge { left } => Problem::new(422, "refund-too-large", "More than is left")
            .with_detail(detail.clone())
            .with_error("/amount", detail)
            .with_extension("refundable", left),
        Rejection::RefundAmount => Problem::unprocessable(detail.clone()).with_error("/amount", detail),
    }
}

/// The problem that tells why lines cannot be priced.
pub fn unpriced(error: &PriceError) -> Problem {
    let detail = error.to_string();
    let at = |line: &usize, field: &str| format!("/lines/{line}/{field}");
    match error {
        PriceError::LineCount => Problem::unprocessable(detail.clone()).with_error("/lines", detail),
        PriceError::UnknownProduct { lines } => {
            let problem = Problem::new(422, "unknown-product", "Unknown product").with_detail(detail.clone());
            lines
                .iter()
                .fold(problem, |problem, line| problem.with_error(at(line, "product_id"), detail.clone()))
        }
        PriceError::Quantity { line } => {
            Problem::unprocessable(detail.clone()).with_error(at(line, "quantity"), detail)
        }
        PriceError::Currencies { line } => {
            Problem::unprocessable(detail.clone()).with_error(at(line, "product_id"), detail)
        }
        PriceError::TooLarge => Problem::unprocessable(detail.clone()).with_error("/lines", detail),
    }
}
