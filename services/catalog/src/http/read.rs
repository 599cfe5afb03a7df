//! Reading the catalogue: public.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use viscount_chassis::{
    http::{Page, Paged, PathId, Query, etag},
    problem::Problem,
};
use viscount_contracts::ProductId;

use super::wire::{CategoriesBody, ListQuery, Paging, ProductBody};
use crate::{
    catalog::{Catalog, Refusal},
    store::{self, ListCursor},
};

/// Products on sale, a page at a time.
#[utoipa::path(
    get, path = "/v1/products", tag = "catalog", params(ListQuery, Paging),
    responses((status = 200, description = "A page", body = Paged<ProductBody>), (status = 400, description = "A parameter cannot be used", body = Problem, content_type = "application/problem+json"))
)]
pub async fn list(
    catalog: Data<Catalog>,
    page: Page,
    query: Query<ListQuery>,
) -> Result<Paged<ProductBody>, Problem> {
    let query = query.into_inner();
    let sort = query.sort.unwrap_or_default();
    let after: Option<ListCursor> = page.after()?;
    if after.as_ref().is_some_and(|after| !after.fits(sort)) {
        return Err(Problem::bad_request("the parameter cursor belongs to a list in another order"));
    }
    let products = store::list(catalog.pool(), &query.into(), sort, after.as_ref(), page.limit + 1).await?;
    Ok(Paged::new(products, page.limit, |last| ListCursor::behind(sort, last)).map(ProductBody::from))
}

/// One product; archived ones too, so that old orders can go on showing it.
///
/// There is no 304: whether it is in stock changes without an edit, and the `ETag` tells of edits alone.
#[utoipa::path(
    get, path = "/v1/products/{id}", tag = "catalog", params(("id" = uuid::Uuid, Path, description = "The product")),
    responses((status = 200, description = "The product", body = ProductBody, headers(("ETag" = String, description = "Its version"))), (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"))
)]
pub async fn show(catalog: Data<Catalog>, id: PathId<ProductId>) -> Result<HttpResponse, Problem> {
    let listed = store::load(catalog.pool(), id.into_inner()).await?.ok_or(Refusal::Unknown)?;
    let product = ProductBody::from(listed);
    Ok(HttpResponse::Ok().insert_header(etag(product.version)).json(product))
}

/// The categories that have products on sale, and how many.
#[utoipa::path(
    get, path = "/v1/categories", tag = "catalog",
    responses((status = 200, description = "All of them", body = CategoriesBody))
)]
pub async fn categories(catalog: Data<Catalog>) -> Result<Json<CategoriesBody>, Problem> {
    let categories = store::categories(catalog.pool()).await?;
    Ok(Json(CategoriesBody { items: categories.into_iter().map(Into::into).collect() }))
}
