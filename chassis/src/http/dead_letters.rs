//! `/v1/ops/dead-letters`: what a service could not handle, and another try of it. For administrators.

use actix_web::{HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgPool;
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;

use super::{
    extract::{PathId, Query},
    page::{Page, Paged},
};
use crate::{
    auth::{Caller, Role},
    dead_letters::{self, Filter, Letter, State},
    masking::masked_json,
    problem::Problem,
};

/// Where the letters are.
#[derive(Clone)]
struct Letters(PgPool);

/// Which letters are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Whose; behind the gateway only.
    #[serde(rename = "service")]
    _service: Option<String>,
    /// Those of this consumer.
    consumer: Option<String>,
    /// Those of this aggregate.
    key: Option<Uuid>,
}

/// How a redrive is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// Whose; behind the gateway only.
    #[serde(rename = "service")]
    _service: Option<String>,
    /// Only say what would go back.
    #[serde(default)]
    dry_run: bool,
}

/// Nothing but whose.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// Whose; behind the gateway only.
    #[serde(rename = "service")]
    _service: Option<String>,
}

/// A letter with its event.
#[derive(Debug, Serialize, ToSchema)]
struct Opened {
    #[serde(flatten)]
    letter: Letter,
    /// The event's message; null when its bytes cannot be read. Payment tokens and addresses are masked.
    #[schema(value_type = Option<Object>)]
    event: Option<Value>,
}

pub(super) fn configure(app: &mut web::ServiceConfig, pool: PgPool) {
    app.app_data(web::Data::new(Letters(pool)))
        .route("/v1/ops/dead-letters", web::get().to(list))
        .route("/v1/ops/dead-letters/{id}", web::get().to(show))
        .route("/v1/ops/dead-letters/{id}/redrive", web::post().to(redrive));
}

#[derive(OpenApi)]
#[openapi(paths(list, show, redrive), components(schemas(Letter, State, Opened)))]
pub(super) struct Document;

/// Events that this service has given up, oldest first.
#[utoipa::path(
    get, path = "/v1/ops/dead-letters", tag = "operations",
    params(Wanted, ("limit" = Option<u32>, Query, description = "1 to 200"), ("cursor" = Option<String>, Query, description = "next_cursor of the page before")),
    responses((status = 200, description = "A page", body = Paged<Letter>)),
    security(("bearer" = []))
)]
async fn list(
    caller: Caller,
    letters: web::Data<Letters>,
    page: Page,
    wanted: Query<Wanted>,
) -> Result<Paged<Letter>, Problem> {
    caller.require(Role::Admin)?;
    let Wanted { consumer, key, .. } = wanted.into_inner();
    let filter = Filter { consumer, key, id: None, after: page.after()? };
    let found = dead_letters::list(&letters.0, &filter, i64::from(page.limit) + 1).await?;
    Ok(Paged::new(found, page.limit, |last| (last.id, last.consumer.clone())))
}

/// One of them, or one that is parked behind it, with its event.
#[utoipa::path(
    get, path = "/v1/ops/dead-letters/{id}", tag = "operations",
    params(("id" = Uuid, Path, description = "The event"), Whose),
    responses((status = 200, description = "The letter", body = Opened), (status = 404, description = "No such letter")),
    security(("bearer" = []))
)]
async fn show(
    caller: Caller,
    letters: web::Data<Letters>,
    id: PathId<Uuid>,
    _: Query<Whose>,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let letter = find(&letters.0, id.into_inner()).await?;
    let event = letter.event().as_ref().and_then(masked_json);
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Opened { letter, event }))
}

/// Hands a letter to its consumer once more, and then what is parked behind it, in order.
#[utoipa::path(
    post, path = "/v1/ops/dead-letters/{id}/redrive", tag = "operations",
    params(("id" = Uuid, Path, description = "The event"), How),
    responses(
        (status = 202, description = "It will go back, or would", body = Letter),
        (status = 404, description = "No such letter"),
        (status = 409, description = "It is parked behind another one"),
    ),
    security(("bearer" = []))
)]
async fn redrive(
    caller: Caller,
    letters: web::Data<Letters>,
    id: PathId<Uuid>,
    how: Query<How>,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let mut letter = find(&letters.0, id.into_inner()).await?;
    if letter.state == State::Parked {
        let first = letter.behind.map(|first| format!(" {first}")).unwrap_or_default();
        let detail = format!("it waits behind the dead letter{first} of its key; redrive that one");
        return Err(Problem::conflict("parked", "Parked behind a dead letter", detail));
    }
    if !how.into_inner().dry_run {
        if !dead_letters::redrive(&letters.0, &letter).await? {
            return Err(Problem::not_found("dead letter"));
        }
        letter.state = State::Redriving;
        tracing::info!(event = %letter.id, consumer = letter.consumer, by = %caller.subject, "redrive asked for");
    }
    Ok(HttpResponse::Accepted().json(letter))
}

async fn find(pool: &PgPool, id: Uuid) -> Result<Letter, Problem> {
    dead_letters::find(pool, id).await?.into_iter().next().ok_or_else(|| Problem::not_found("dead letter"))
}
