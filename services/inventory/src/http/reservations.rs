//! Reserving and releasing over HTTP, for callers that are no orders.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use viscount_chassis::{
    http::{Body, current_traceparent},
    problem::Problem,
};

use super::{
    Api, problem,
    staff::Staff,
    wire::{ReleaseRequest, ReservationBody, ReserveRequest},
};
use crate::{
    actors::{Booked, Booking, Cause, Ended},
    domain::{Lines, Reason, Reservation, State},
    store,
};

/// The longest time that a reservation may ask for, in seconds.
const LONGEST_TTL: u32 = 30 * 24 * 3600;

/// Puts stock aside: every line or none. Asked again with the same id, it answers the same.
#[utoipa::path(
    post, path = "/v1/inventory/reserve", tag = "inventory", request_body = ReserveRequest,
    responses(
        (status = 201, description = "Everything is held", body = ReservationBody),
        (status = 401, description = "No token"),
        (status = 403, description = "Neither admin nor service"),
        (status = 409, description = "Not enough (with every short line in `lines`), or the reservation has ended, or had other lines"),
        (status = 422, description = "Well-formed but refused"),
        (status = 503, description = "Come again later, with the same id"),
    ),
    security(("bearer" = []))
)]
pub async fn reserve(
    api: Data<Api>,
    _staff: Staff,
    body: Body<ReserveRequest>,
) -> Result<HttpResponse, Problem> {
    let ReserveRequest { reservation_id, lines, ttl_seconds } = body.into_inner();
    let lines =
        Lines::new(lines.iter().map(|line| (line.product_id, line.quantity))).map_err(problem::unusable)?;
    let ttl = match ttl_seconds {
        None => api.reservation_ttl,
        Some(seconds) if (1..=LONGEST_TTL).contains(&seconds) => Duration::from_secs(seconds.into()),
        Some(_) => {
            let detail = format!("must be 1 to {LONGEST_TTL}");
            return Err(Problem::unprocessable(detail.clone()).with_error("/ttl_seconds", detail));
        }
    };
    let expires_at = Some(store::after(&api.pool, ttl).await?);
    let booking = Booking { id: reservation_id, of_order: false, lines: lines.clone(), expires_at };
    let cause = Cause { event: None, traceparent: current_traceparent() };
    match api.desk.reserve(booking, cause).await.map_err(problem::undecided)? {
        Booked::Rejected(reservation) => Err(problem::insufficient(&reservation)),
        Booked::Known(reservation) => {
            check(&reservation, &lines)?;
            Ok(HttpResponse::Created().json(ReservationBody::from(&*reservation)))
        }
    }
}

/// What was reserved under this id before may not be what is asked for now.
fn check(reservation: &Reservation, lines: &Lines) -> Result<(), Problem> {
    if reservation.of_order {
        return Err(problem::different("this id belongs to an order's reservation"));
    }
    if reservation.state != State::Held {
        return Err(problem::ended(reservation.state));
    }
    let asked = lines.iter().map(|(product, quantity)| (product, quantity.get()));
    if !asked.eq(reservation.lines()) {
        return Err(problem::different("this id was used for other lines"));
    }
    Ok(())
}

/// Gives everything back. Also the second time, and also before the reservation was made: it will hold nothing then.
#[utoipa::path(
    post, path = "/v1/inventory/release", tag = "inventory", request_body = ReleaseRequest,
    responses(
        (status = 200, description = "Nothing is held", body = ReservationBody),
        (status = 401, description = "No token"),
        (status = 403, description = "Neither admin nor service"),
        (status = 409, description = "It belongs to an order, or was sold"),
        (status = 503, description = "Come again later"),
    ),
    security(("bearer" = []))
)]
pub async fn release(
    api: Data<Api>,
    _staff: Staff,
    body: Body<ReleaseRequest>,
) -> Result<Json<ReservationBody>, Problem> {
    let cause = Cause { event: None, traceparent: current_traceparent() };
    let ended = api.desk.end(body.0.reservation_id, Reason::Released.into(), false, cause).await;
    match ended.map_err(problem::undecided)? {
        Ended::Done(reservation) => Ok(Json(ReservationBody::from(&*reservation))),
        Ended::TooLate(state) => Err(problem::ended(state)),
        Ended::OfOrder => Err(problem::of_order()),
    }
}
