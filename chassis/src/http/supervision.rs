//! `/v1/ops/actors`: the supervision tree, the last exits, and the way out of quarantine. For administrators.

use actix_web::{HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, OpenApi, ToSchema};
use viscount_actors::{AskError, ExitFilter, ExitRecord, Supervisor, TreeNode};

use super::{
    extract::{Body, Query},
    page::Page,
};
use crate::{
    auth::{Caller, Role},
    dead_letters,
    problem::Problem,
};

/// The tree, and where the events are that wait for one of its entities.
#[derive(Clone)]
pub(super) struct Tree {
    pub service: &'static str,
    pub supervisor: Supervisor,
    pub letters: Option<PgPool>,
}

/// The live supervision tree of a service.
#[derive(Serialize)]
struct Actors {
    service: &'static str,
    tree: TreeNode,
}

/// Which exits are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Whose; behind the gateway only.
    #[serde(rename = "service")]
    _service: Option<String>,
    /// Those at this path of the tree, and below it.
    path: Option<String>,
    /// Those of this entity.
    id: Option<String>,
}

#[derive(Serialize)]
struct Exits {
    items: Vec<ExitRecord>,
}

/// What does not matter here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// Whose; behind the gateway only.
    #[serde(rename = "service")]
    _service: Option<String>,
}

/// Who is to be let out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Release {
    /// The router's path in the tree, such as `orders/order`.
    path: String,
    /// The entity.
    id: String,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
struct Released {
    /// It was quarantined. False when only its events go back: the process has been started since, or the events were
    /// left behind by a release that did not get that far.
    released: bool,
    /// Events that go back to it, and behind them.
    redriven: u64,
}

pub(super) fn configure(app: &mut web::ServiceConfig, tree: Tree) {
    app.app_data(web::Data::new(tree))
        .route("/v1/ops/actors", web::get().to(actors))
        .route("/v1/ops/actors/exits", web::get().to(exits))
        .route("/v1/ops/actors/release", web::post().to(release));
}

#[derive(OpenApi)]
#[openapi(paths(actors, exits, release), components(schemas(Release, Released)))]
pub(super) struct Document;

/// The live supervision tree.
#[utoipa::path(
    get, path = "/v1/ops/actors", tag = "operations",
    responses((status = 200, description = "The service and its tree", body = Object)),
    security(("bearer" = []))
)]
async fn actors(caller: Caller, tree: web::Data<Tree>) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let actors = Actors { service: tree.service, tree: tree.supervisor.snapshot() };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(actors))
}

/// Why actors ended, the latest first: the last 16 of each, of a router's entities the last 64.
#[utoipa::path(
    get, path = "/v1/ops/actors/exits", tag = "operations",
    params(Wanted, ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said otherwise")),
    responses((status = 200, description = "The last exits", body = Object)),
    security(("bearer" = []))
)]
async fn exits(
    caller: Caller,
    tree: web::Data<Tree>,
    wanted: Query<Wanted>,
    page: Page,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let Wanted { path, id, .. } = wanted.into_inner();
    let limit = page.limit as usize;
    let supervisor = tree.supervisor.clone();
    // Backtraces get their names here, which takes a while the first time.
    let read = move || supervisor.exits(&ExitFilter { path, id }, limit);
    let items = web::block(read).await.map_err(|_| Problem::internal())?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Exits { items }))
}

/// Lets an entity out of quarantine. Events that were set aside for it go back to their consumers, in order, also when it is
/// not quarantined any more.
#[utoipa::path(
    post, path = "/v1/ops/actors/release", tag = "operations", request_body = Release,
    responses(
        (status = 200, description = "It is tried again", body = Released),
        (status = 404, description = "It is not quarantined, and nothing is set aside for it"),
    ),
    security(("bearer" = []))
)]
async fn release(
    caller: Caller,
    tree: web::Data<Tree>,
    _named: Query<Named>,
    body: Body<Release>,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let Release { path, id } = body.into_inner();
    let snapshot = tree.supervisor.snapshot();
    let Some(router) = snapshot.find(&path).filter(|node| node.kind == "router") else {
        return Err(Problem::not_found("router of entities"));
    };
    // First the entity, or its events would be set aside again. Whatever comes after this can be asked for again: who is
    // quarantined is known to this process, what is set aside to the database.
    let released = tree.supervisor.release(&path, &id);
    let redriven = match &tree.letters {
        Some(pool) => {
            dead_letters::redrive_set_aside(pool, &AskError::quarantined(router.name, &id), &id).await?
        }
        None => 0,
    };
    if !released && redriven == 0 {
        return Err(Problem::not_found("quarantined entity, nor an event that is set aside for one"));
    }
    tracing::info!(service = tree.service, path, id, released, redriven, by = %caller.subject, "released from quarantine");
    Ok(HttpResponse::Ok().json(Released { released, redriven }))
}
