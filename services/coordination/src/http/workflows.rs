//! `/v1/workflows` and `/v1/ops/orders/{id}/why`: where each order stands, and why it does not go on. For administrators.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;
use viscount_chassis::{
    auth::Role,
    http::{Caller, Page, Paged, PathId, Query},
    problem::Problem,
};

use crate::{
    why::{Explainer, Why},
    workflows::{self, Moment, Patience, View, Wanted},
};

/// What the handlers work with.
pub struct Views {
    /// Where the view is.
    pub pool: PgPool,
    /// What is too long.
    pub patience: Patience,
    /// Who knows why.
    pub explainer: Arc<Explainer>,
}

/// The route table.
pub fn routes(app: &mut web::ServiceConfig, views: &Arc<Views>) {
    app.app_data(web::Data::from(views.clone()))
        .route("/v1/workflows", web::get().to(list))
        .route("/v1/workflows/{order_id}", web::get().to(show))
        .route("/v1/ops/orders/{id}/why", web::get().to(why));
}

#[derive(OpenApi)]
#[openapi(paths(list, show, why), components(schemas(View, Moment, Told, Why)))]
pub struct Document;

/// Which workflows are listed.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Listed {
    /// Everything that is not finished, the stuck included.
    Running,
    /// What waits for too long.
    Stuck,
    /// What waits for nothing.
    Finished,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only these; all when absent.
    #[param(inline)]
    state: Option<Listed>,
}

/// A workflow with what happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkflowHistory)]
struct Told {
    #[serde(flatten)]
    view: View,
    /// What happened, oldest first.
    timeline: Vec<Moment>,
}

/// Orders as the events of all services show them, the oldest first.
#[utoipa::path(
    get, path = "/v1/workflows", tag = "workflows",
    params(Which, ("limit" = Option<u32>, Query, description = "1 to 200"), ("cursor" = Option<String>, Query, description = "next_cursor of the page before")),
    responses((status = 200, description = "A page", body = Paged<View>)),
    security(("bearer" = []))
)]
async fn list(
    views: web::Data<Views>,
    caller: Caller,
    page: Page,
    query: Query<Which>,
) -> Result<Paged<View>, Problem> {
    caller.require(Role::Admin)?;
    let now = Timestamp::now();
    let wanted = match query.into_inner().state {
        None => Wanted::All,
        Some(Listed::Running) => Wanted::Open,
        Some(Listed::Finished) => Wanted::Finished,
        Some(Listed::Stuck) => {
            let Patience { stuck_after, stock, payment } = views.patience;
            let before = |longest| {
                SignedDuration::try_from(longest)
                    .ok()
                    .and_then(|it| now.checked_sub(it).ok())
                    .unwrap_or(Timestamp::MIN)
            };
            Wanted::WaitingSince([stuck_after.min(stock), stuck_after.min(payment), stuck_after].map(before))
        }
    };
    let after = page.after::<Uuid>()?;
    let found = workflows::list(&views.pool, wanted, after, i64::from(page.limit) + 1).await?;
    let views: Vec<View> = found.iter().map(|workflow| workflow.view(&views.patience, now)).collect();
    Ok(Paged::new(views, page.limit, |view| view.order_id))
}

/// One order as the events of all services show it, with what happened.
#[utoipa::path(
    get, path = "/v1/workflows/{order_id}", tag = "workflows",
    params(("order_id" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The workflow", body = Told), (status = 404, description = "No event of such an order has been seen")),
    security(("bearer" = []))
)]
async fn show(views: web::Data<Views>, caller: Caller, id: PathId<Uuid>) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let found = workflows::find(&views.pool, id.into_inner()).await?;
    let workflow = found.ok_or_else(|| Problem::not_found("workflow"))?;
    let told = Told { view: workflow.view(&views.patience, Timestamp::now()), timeline: workflow.timeline() };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(told))
}

/// Why an order is not finished: what it waits for, what could explain that it does not come, and what has happened so far.
#[utoipa::path(
    get, path = "/v1/ops/orders/{id}/why", tag = "operations", params(("id" = Uuid, Path, description = "The order")),
    responses(
        (status = 200, description = "What can be said", body = Why),
        (status = 404, description = "Nobody knows of such an order"),
        (status = 503, description = "Who might know does not answer"),
    ),
    security(("bearer" = []))
)]
async fn why(
    views: web::Data<Views>,
    caller: Caller,
    id: PathId<Uuid>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    // The services check it again.
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    let why = views.explainer.why(id.into_inner(), authorization.unwrap_or_default()).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(why))
}
