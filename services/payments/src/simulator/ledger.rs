//! Everything there is, for auditors.

use actix_web::{HttpResponse, web::Data};
use serde::{Deserialize, Serialize};
use viscount_chassis::{http::Query, problem::Problem};

use super::Bank;
use crate::provider::wire::LedgerEntry;

const DEFAULT_LIMIT: i64 = 1_000;
const MOST: i64 = 10_000;

/// Which part of the ledger is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// Begin behind this place: `next_after` of the page before.
    #[serde(default)]
    after: i64,
    /// How many entries, 1 to 10000.
    limit: Option<i64>,
}

#[derive(Serialize)]
struct Ledger {
    object: &'static str,
    data: Vec<LedgerEntry>,
    has_more: bool,
    /// What to send as `after` for the next page.
    next_after: i64,
}

/// Every charge and every refund, oldest first. Works also while the provider pretends to be down.
#[utoipa::path(
    get, path = "/v1/ledger", tag = "simulator", params(Part),
    responses((status = 200, description = "{object, data: [charge or refund], has_more, next_after}"))
)]
pub(super) async fn list(bank: Data<Bank>, query: Query<Part>) -> Result<HttpResponse, Problem> {
    let Part { after, limit } = query.into_inner();
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request("the parameter limit must be 1 to 10000"));
    }
    let (entries, has_more) = bank.books.ledger(after, limit).await?;
    let next_after = entries.last().map_or(after, |(sequence, _)| *sequence);
    let data = entries.into_iter().map(|(_, entry)| entry).collect();
    Ok(HttpResponse::Ok().json(Ledger { object: "list", data, has_more, next_after }))
}
