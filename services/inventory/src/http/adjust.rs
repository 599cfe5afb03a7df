//! `POST /v1/inventory/adjust`: goods come in, break, are counted or come back. Done once per key.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use tokio::time::Instant;
use viscount_chassis::{
    http::{Body, IdempotencyKey, current_traceparent},
    idempotency::{Begun, Claim, StoredAnswer},
    problem::Problem,
};

use super::{
    Api,
    problem::not_adjusted,
    staff::Staff,
    wire::{AdjustRequest, StockBody},
};
use crate::{
    actors::{ADJUST_PATIENCE, Adjust, AdjustError, Ask},
    domain::{Adjustment, Location, MOST_ON_HAND},
};

/// The longest note.
const LONGEST_NOTE: usize = 500;

/// Changes what is in the house. The answer is the stock afterwards.
#[utoipa::path(
    post, path = "/v1/inventory/adjust", tag = "inventory", request_body = AdjustRequest,
    params(("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters; a retry with the same key has its effect once")),
    responses(
        (status = 200, description = "The stock afterwards", body = StockBody),
        (status = 400, description = "Not parseable, or no Idempotency-Key"),
        (status = 401, description = "No token"),
        (status = 403, description = "Neither admin nor service"),
        (status = 409, description = "Less would be left than is reserved, or a request with this key is being worked on"),
        (status = 422, description = "Well-formed but refused"),
        (status = 503, description = "Come again later"),
    ),
    security(("bearer" = []))
)]
pub async fn adjust(
    api: Data<Api>,
    staff: Staff,
    key: IdempotencyKey,
    body: Body<AdjustRequest>,
) -> Result<HttpResponse, Problem> {
    let request = body.into_inner();
    let adjustment = parse(&request)?;
    let canonical = serde_json::to_vec(&request).map_err(|_| Problem::internal())?;
    let claim = Claim::new(staff.subject, key.into_inner(), "POST", "/v1/inventory/adjust", &canonical);
    let ticket = match api.idempotency.begin(claim).await? {
        Begun::Replay(answer) => return Ok(replayed(answer)),
        Begun::First(ticket) => ticket,
    };
    let adjust = Adjust {
        adjustment,
        claim: ticket.claim().clone(),
        since: Instant::now(),
        traceparent: current_traceparent(),
    };
    let asked =
        api.router.ask(request.product_id, ADJUST_PATIENCE, |reply| Ask::Adjust(Box::new(adjust), reply));
    match asked.await? {
        Ok(Some(body)) => {
            ticket.committed();
            Ok(HttpResponse::Ok().insert_header(header::ContentType::json()).body(body))
        }
        // Committed, but only the database has the answer: the connection broke just then.
        Ok(None) => {
            let answer = api.idempotency.replay(ticket.claim()).await?;
            Ok(HttpResponse::Ok().insert_header(header::ContentType::json()).body(answer.body))
        }
        Err(AdjustError::KeyTaken) => Ok(replayed(api.idempotency.replay(ticket.claim()).await?)),
        // A process that has forgotten the key decides the retry in the world that the first request has left.
        Err(error) => Ok(replayed(api.idempotency.replay_or(ticket.claim(), not_adjusted(error)).await?)),
    }
}

fn parse(request: &AdjustRequest) -> Result<Adjustment, Problem> {
    let refused =
        |pointer: &str, detail: String| Problem::unprocessable(detail.clone()).with_error(pointer, detail);
    if request.delta == 0 || i64::from(request.delta).abs() > MOST_ON_HAND {
        let detail = format!("must not be zero, and at most {MOST_ON_HAND} either way");
        return Err(refused("/delta", detail));
    }
    let location = match &request.location {
        None => Location::main(),
        Some(name) => Location::new(name).map_err(|error| refused("/location", error.to_string()))?,
    };
    let note = request.note.as_deref();
    if note.is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        return Err(refused("/note", format!("at most {LONGEST_NOTE} characters")));
    }
    Ok(Adjustment {
        location,
        delta: request.delta,
        kind: request.reason.into(),
        note: note.map(str::to_owned),
    })
}

/// Gives the first answer again, byte for byte.
fn replayed(answer: StoredAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    HttpResponse::build(status)
        .insert_header(("Idempotent-Replayed", "true"))
        .insert_header(header::ContentType::json())
        .body(answer.body)
}
