//! The HTTP side of the catalogue.

mod admin;
mod parse;
mod problem;
mod read;
mod search;
mod wire;
mod write;

use actix_web::web::{Data, ServiceConfig, delete, get, post, put};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::catalog::Catalog;

/// The route table.
pub fn routes(app: &mut ServiceConfig, catalog: &Catalog) {
    app.app_data(Data::new(catalog.clone()))
        .route("/v1/products", get().to(read::list))
        .route("/v1/products", post().to(write::create))
        .route("/v1/products/search", get().to(search::search))
        .route("/v1/products/{id}", get().to(read::show))
        .route("/v1/products/{id}", put().to(write::replace))
        .route("/v1/products/{id}", delete().to(write::archive))
        .route("/v1/categories", get().to(read::categories));
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Catalogue", description = "Products, categories, prices, search."),
    paths(
        read::list,
        write::create,
        search::search,
        read::show,
        write::replace,
        write::archive,
        read::categories
    ),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// This service's OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
