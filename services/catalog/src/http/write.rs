//! Changing the catalogue: administrators only.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{IF_MATCH, LOCATION},
    web::Data,
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use viscount_chassis::{
    http::{Body, IfMatch, PathId, etag},
    problem::Problem,
};
use viscount_contracts::ProductId;

use super::{
    admin::Admin,
    parse,
    wire::{DetailsBody, ProductBody},
};
use crate::{
    catalog::Catalog,
    domain::{Command, Expected},
};

/// A new product.
#[utoipa::path(
    post, path = "/v1/products", tag = "catalog", request_body = DetailsBody, security(("bearer" = [])),
    responses(
        (status = 201, description = "The product", body = ProductBody, headers(("Location" = String, description = "Where it is"), ("ETag" = String, description = "Its version"))),
        (status = 409, description = "Another product has this sku", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Fields that cannot be like this", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    _: Admin,
    catalog: Data<Catalog>,
    body: Body<DetailsBody>,
) -> Result<HttpResponse, Problem> {
    let details = parse::details(body.0, catalog.currency())?;
    let product = ProductBody::from(catalog.create(details).await?);
    let location = (LOCATION, format!("/v1/products/{}", product.id));
    Ok(HttpResponse::Created().insert_header(location).insert_header(etag(product.version)).json(product))
}

/// Everything about a product anew. Asks for `If-Match`: nobody overwrites what they have not seen.
#[utoipa::path(
    put, path = "/v1/products/{id}", tag = "catalog", request_body = DetailsBody, security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The product"), ("If-Match" = String, Header, description = "The ETag last read, or *")),
    responses(
        (status = 200, description = "The product", body = ProductBody, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another product has this sku, or the product is archived", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Changed in the meantime", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Fields that cannot be like this", body = Problem, content_type = "application/problem+json"),
        (status = 428, description = "If-Match is missing", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replace(
    _: Admin,
    id: PathId<ProductId>,
    if_match: IfMatch,
    catalog: Data<Catalog>,
    body: Body<DetailsBody>,
) -> Result<HttpResponse, Problem> {
    let details = Box::new(parse::details(body.0, catalog.currency())?);
    let command = Command::Replace { expected: if_match.into(), details };
    let product = ProductBody::from(catalog.change(id.into_inner(), command).await?);
    Ok(HttpResponse::Ok().insert_header(etag(product.version)).json(product))
}

/// Takes a product off sale; safe to repeat. Old orders go on showing it.
#[utoipa::path(
    delete, path = "/v1/products/{id}", tag = "catalog", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The product"), ("If-Match" = Option<String>, Header, description = "The ETag last read; any when absent")),
    responses(
        (status = 204, description = "It is archived"),
        (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Changed in the meantime", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn archive(
    _: Admin,
    id: PathId<ProductId>,
    expected: MayExpect,
    catalog: Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    catalog.change(id.into_inner(), Command::Archive { expected: expected.0 }).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<IfMatch> for Expected {
    fn from(if_match: IfMatch) -> Self {
        if_match.version().map_or(Expected::Any, Expected::Revision)
    }
}

/// Extractor for an `If-Match` that may be absent. (In an `Option` a malformed one would count as absent, too.)
pub struct MayExpect(Expected);

impl FromRequest for MayExpect {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(IF_MATCH) {
            return std::future::ready(Ok(MayExpect(Expected::Any))).boxed_local();
        }
        IfMatch::from_request(request, payload).map(|if_match| Ok(MayExpect(if_match?.into()))).boxed_local()
    }
}
