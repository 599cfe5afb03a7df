//! Refunds.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use viscount_chassis::http::Query;

use super::{
    Bank,
    books::RefundOutcome,
    charges::{ByKey, check, idempotency_key, malformed},
    failure::Refusal,
};
use crate::provider::wire::{List, NewRefund};

/// Returns money of a charge, never more than was taken. The same key answers the same.
#[utoipa::path(
    post, path = "/v1/refunds", tag = "provider",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body(content = Object, description = "{charge, amount, metadata?}"),
    responses(
        (status = 200, description = "Returned"),
        (status = 400, description = "Not a refund that can be made"),
        (status = 404, description = "No such charge"),
    )
)]
pub(super) async fn create(
    bank: Data<Bank>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    bank.faults.at_the_door().await?;
    let key = idempotency_key(&request)?;
    let wanted: NewRefund = serde_json::from_slice(&body).map_err(|_| malformed())?;
    check(wanted.amount, &wanted.metadata)?;
    bank.faults.before()?;
    let refund = match bank.books.make_refund(&key, &wanted).await? {
        RefundOutcome::Made(refund) => refund,
        RefundOutcome::KeyReused => return Err(Refusal::key_reused()),
        RefundOutcome::NoSuchCharge => return Err(Refusal::missing("There is no such charge.")),
        RefundOutcome::NotCaptured => {
            return Err(Refusal::invalid("charge_not_captured", "This charge took no money."));
        }
        RefundOutcome::TooMuch => {
            return Err(Refusal::invalid(
                "amount_too_large",
                "This is more than what is left of the charge.",
            ));
        }
    };
    bank.faults.after().await?;
    if refund.amount != wanted.amount || refund.charge != wanted.charge {
        return Err(Refusal::key_reused());
    }
    Ok(HttpResponse::Ok().json(refund))
}

/// What became of a key: one refund, or none when it was never seen.
#[utoipa::path(
    get, path = "/v1/refunds", tag = "provider", params(ByKey),
    responses((status = 200, description = "A list of one refund, or none"))
)]
pub(super) async fn find(bank: Data<Bank>, query: Query<ByKey>) -> Result<HttpResponse, Refusal> {
    bank.faults.at_the_door().await?;
    let found = bank.books.refund(&query.into_inner().idempotency_key).await?;
    Ok(HttpResponse::Ok().json(List::of(found.into_iter().collect())))
}
