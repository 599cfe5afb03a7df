//! Reading stock and its ledger.

use actix_web::web::{Data, Json};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use viscount_chassis::{
    http::{Page, Paged, PathId, Query},
    problem::Problem,
};
use viscount_contracts::ProductId;

use super::{
    Api,
    staff::Staff,
    wire::{LowStockBody, MovementBody, StockBody},
};
use crate::{
    actors::DeskError,
    domain::Balance,
    store::{self, MovementRow},
};

/// The stock of one product, over all places.
#[utoipa::path(
    get, path = "/v1/inventory/{product_id}", tag = "inventory",
    params(("product_id" = Uuid, Path, description = "The product")),
    responses(
        (status = 200, description = "The stock", body = StockBody),
        (status = 404, description = "There never was any"),
    )
)]
pub async fn show(api: Data<Api>, product: PathId<ProductId>) -> Result<Json<StockBody>, Problem> {
    let balance =
        api.balances.load(product.0).await.map_err(DeskError::from).map_err(super::problem::undecided)?;
    balance
        .filter(Balance::is_known)
        .map(|balance| Json(balance.into()))
        .ok_or_else(|| Problem::not_found("stock"))
}

/// Filter of the list of scarce products.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LowStockQuery {
    /// So many available, or fewer; what the service warns of unless said otherwise.
    threshold: Option<u32>,
}

/// Products of which there is little, scarcest first.
#[utoipa::path(
    get, path = "/v1/inventory/low-stock", tag = "inventory",
    params(
        LowStockQuery,
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said otherwise"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
    ),
    responses(
        (status = 200, description = "One page", body = Paged<LowStockBody>),
        (status = 401, description = "No token"),
        (status = 403, description = "Neither admin nor service"),
    ),
    security(("bearer" = []))
)]
pub async fn low_stock(
    api: Data<Api>,
    _staff: Staff,
    query: Query<LowStockQuery>,
    page: Page,
) -> Result<Paged<LowStockBody>, Problem> {
    let threshold = i64::from(query.0.threshold.unwrap_or(api.low_stock));
    let after: Option<(i64, Uuid)> = page.after()?;
    let found = store::low_stock(&api.pool, threshold, after, i64::from(page.limit) + 1).await?;
    let items: Vec<LowStockBody> = found.into_iter().map(LowStockBody::from).collect();
    Ok(Paged::new(items, page.limit, |last| (last.available, last.product_id.uuid())))
}

/// The ledger of one product, newest first.
#[utoipa::path(
    get, path = "/v1/inventory/{product_id}/movements", tag = "inventory",
    params(
        ("product_id" = Uuid, Path, description = "The product"),
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said otherwise"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
    ),
    responses(
        (status = 200, description = "One page", body = Paged<MovementBody>),
        (status = 401, description = "No token"),
        (status = 403, description = "Neither admin nor service"),
        (status = 404, description = "There never was any of this product"),
    ),
    security(("bearer" = []))
)]
pub async fn movements(
    api: Data<Api>,
    _staff: Staff,
    product: PathId<ProductId>,
    page: Page,
) -> Result<Paged<MovementBody>, Problem> {
    let before: Option<i64> = page.after()?;
    let rows = store::movements(&api.pool, product.0, before, i64::from(page.limit) + 1).await?;
    if rows.is_empty() && !store::is_known(&api.pool, product.0).await? {
        return Err(Problem::not_found("stock"));
    }
    Ok(Paged::new(rows, page.limit, |last: &MovementRow| last.id).map(MovementBody::from))
}
