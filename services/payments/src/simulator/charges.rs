//! Charges.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use serde::Deserialize;
use tokio::time::sleep;
use viscount_chassis::{http::Query, telemetry::current_traceparent};

use super::{
    Bank,
    books::NewRow,
    cards::{Card, SLOW},
    failure::Refusal,
};
use crate::provider::wire::{Charge, IDEMPOTENCY_KEY, List, Metadata, NewCharge, Status};

/// An answer that takes this long is as good as none.
pub(super) const NEVER: Duration = Duration::from_secs(60);
/// The largest amount.
const MOST: i64 = 1_000_000_000_000;
/// Bounds of metadata.
const MOST_METADATA: usize = 50;
const LONGEST_METADATA: usize = 500;

/// Authorises, and captures unless told otherwise. The same key answers the same.
#[utoipa::path(
    post, path = "/v1/charges", tag = "provider",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body(content = Object, description = "{amount, currency, source, capture?, metadata?}"),
    responses(
        (status = 200, description = "Charged"),
        (status = 400, description = "Not a charge that can be made"),
        (status = 402, description = "The card was declined"),
        (status = 500, description = "Whether it was charged is not said"),
    )
)]
pub(super) async fn create(
    bank: Data<Bank>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    bank.faults.at_the_door().await?;
    let key = idempotency_key(&request)?;
    let wanted: NewCharge = serde_json::from_slice(&body).map_err(|_| malformed())?;
    check(wanted.amount, &wanted.metadata)?;
    if wanted.currency.len() != 3 || !wanted.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Refusal::invalid("invalid_currency", "The currency is three upper-case letters."));
    }
    let Some(card) = Card::of(&wanted.source) else {
        return Err(Refusal::invalid("invalid_token", "There is no such token."));
    };
    bank.faults.before()?;
    if card == Card::Flaky && bank.books.charge(&key).await?.is_none() && bank.flaky.fails(&key) {
        return Err(Refusal::broken());
    }
    if card == Card::Slow {
        sleep(SLOW).await;
    }
    let failure = match card {
        Card::Declined { code, message } => Some((code, message)),
        _ => None,
    };
    let charge = bank
        .books
        .make_charge(NewRow { key, wanted: wanted.clone(), failure, traceparent: current_traceparent() })
        .await?;
    bank.faults.after().await?;
    if card == Card::Timeout {
        sleep(NEVER).await;
        return Err(Refusal::broken());
    }
    if !is_same(&charge, &wanted) {
        return Err(Refusal::key_reused());
    }
    match charge.status {
        Status::Failed => {
            let code = charge.failure_code.as_deref().unwrap_or("card_declined");
            Err(Refusal::declined(code, charge.failure_message.as_deref().unwrap_or_default(), &charge.id))
        }
        Status::Succeeded | Status::Pending => Ok(HttpResponse::Ok().json(charge)),
    }
}

/// What is looked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ByKey {
    /// The key that the request carried.
    pub idempotency_key: String,
}

/// What became of a key: one charge, or none when it was never seen.
#[utoipa::path(
    get, path = "/v1/charges", tag = "provider", params(ByKey),
    responses((status = 200, description = "A list of one charge, or none"))
)]
pub(super) async fn find(bank: Data<Bank>, query: Query<ByKey>) -> Result<HttpResponse, Refusal> {
    bank.faults.at_the_door().await?;
    let found = bank.books.charge(&query.into_inner().idempotency_key).await?;
    Ok(HttpResponse::Ok().json(List::of(found.into_iter().collect())))
}

fn is_same(charge: &Charge, wanted: &NewCharge) -> bool {
    charge.amount == wanted.amount
        && charge.currency == wanted.currency
        && charge.source == wanted.source
        && (charge.captured == wanted.capture || charge.status == Status::Failed)
}

pub(super) fn malformed() -> Refusal {
    Refusal::invalid("malformed", "The body is not what is expected here.")
}

pub(super) fn check(amount: i64, metadata: &Metadata) -> Result<(), Refusal> {
    if !(1..=MOST).contains(&amount) {
        return Err(Refusal::invalid("invalid_amount", "The amount is a positive number of minor units."));
    }
    let texts = || metadata.iter().flat_map(|(name, value)| [name, value]);
    if metadata.len() > MOST_METADATA
        || texts().any(|text| text.len() > LONGEST_METADATA || text.contains('\0'))
    {
        return Err(Refusal::invalid(
            "invalid_metadata",
            "The metadata is too large, or holds NUL characters.",
        ));
    }
    Ok(())
}

/// The key, or one that nobody will use again.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<String, Refusal> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else {
        return Ok(uuid::Uuid::now_v7().to_string());
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > 255 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::invalid("invalid_key", "The key is 1 to 255 visible ASCII characters."));
    }
    Ok(key.to_owned())
}
