//! `GET /v1/products/search`: finding products by words: public.

use actix_web::web::Data;
use metrics::counter;
use viscount_chassis::{
    http::{Page, Paged, Query},
    problem::Problem,
};

use super::wire::{Paging, ProductBody, SearchQuery};
use crate::{
    catalog::Catalog,
    domain::search::MAX_CHARS,
    metrics::SEARCHES,
    store::{self, SearchCursor},
};

/// Products on sale that fit the words, best first. Typos are allowed for.
#[utoipa::path(
    get, path = "/v1/products/search", tag = "catalog", params(SearchQuery, Paging),
    responses((status = 200, description = "A page", body = Paged<ProductBody>), (status = 400, description = "A parameter cannot be used", body = Problem, content_type = "application/problem+json"))
)]
pub async fn search(
    catalog: Data<Catalog>,
    page: Page,
    query: Query<SearchQuery>,
) -> Result<Paged<ProductBody>, Problem> {
    let text = query.into_inner().q;
    if text.trim().is_empty() || text.chars().count() > MAX_CHARS {
        return Err(Problem::bad_request(format!("the parameter q must have 1 to {MAX_CHARS} characters")));
    }
    let after: Option<SearchCursor> = page.after()?;
    let (hits, mode) = store::search(catalog.pool(), &text, after.as_ref(), page.limit + 1).await?;
    if after.is_none() {
        counter!(SEARCHES, "mode" => mode.name()).increment(1);
    }
    let page = Paged::new(hits, page.limit, |last| SearchCursor::behind(mode, last));
    Ok(page.map(|hit| ProductBody::from(hit.listed)))
}
