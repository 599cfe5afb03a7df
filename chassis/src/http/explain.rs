//! `/v1/ops/explain?key=`: what this service can say about one key. For administrators and for other services.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};
use uuid::Uuid;

use super::{extract::Query, supervision::Tree};
use crate::{
    auth::{Caller, Role},
    explain::{self, Explain, Explanation},
    problem::Problem,
};

/// About what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Whose; behind the gateway only.
    #[serde(rename = "service")]
    _service: Option<String>,
    /// The aggregate's id: an order's, say.
    key: Uuid,
}

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route("/v1/ops/explain", web::get().to(about));
}

#[derive(OpenApi)]
#[openapi(paths(about), components(schemas(Explanation)))]
pub(super) struct Document;

/// Evidence of why something does not go on: consumers, parked events, actors, breakers, publishing, and what the service knows.
#[utoipa::path(
    get, path = "/v1/ops/explain", tag = "operations", params(Wanted),
    responses((status = 200, description = "What this service can say", body = Explanation)),
    security(("bearer" = []))
)]
async fn about(
    caller: Caller,
    tree: web::Data<Tree>,
    query: Query<Wanted>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require_any(&[Role::Admin, Role::Service])?;
    let key = query.into_inner().key;
    let mut explanation = Explanation { service: tree.service.to_owned(), ..Explanation::default() };
    explanation.actors = explain::actors_of(&tree.supervisor.snapshot(), &key.to_string(), Timestamp::now());
    if let Some(explain) = request.app_data::<Explain>() {
        explain.about(key, &mut explanation).await;
    }
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(explanation))
}
