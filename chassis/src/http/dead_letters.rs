//! `/v1/ops/dead-letters`: what a service could not handle, and another try of it. For administrators.

use actix_web::{HttpResponse, http::header, web};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
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
    dead_letters::{self, DeadLetter, Filter, Letter, State, Tried, UnreadableMessage},
    log::{RawHeader, RawMessage},
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

/// How one is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Shown {
    /// Whose; behind the gateway only.
    #[serde(rename = "service")]
    _service: Option<String>,
    /// With every byte of an unreadable message: nothing can be masked in it.
    #[serde(default)]
    raw: bool,
}

/// A letter with what is in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Opened {
    /// An event.
    Event {
        #[serde(flatten)]
        letter: Letter,
        /// The event's message; null when its bytes cannot be read. Payment tokens and addresses are masked.
        #[schema(value_type = Option<Object>)]
        event: Option<Value>,
    },
    /// A message in which there is no event.
    Unreadable {
        #[serde(flatten)]
        message: UnreadableMessage,
        /// Its bytes, when they were asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<Raw>,
    },
}

/// Every byte of a message, in base64.
#[derive(Debug, Serialize, ToSchema)]
struct Raw {
    key: Option<String>,
    value: Option<String>,
    headers: Vec<RawHeaderShown>,
}

/// A header of a message, its value in base64.
#[derive(Debug, Serialize, ToSchema)]
struct RawHeaderShown {
    /// Null when it is no text; then there is no value either.
    name: Option<String>,
    value: Option<String>,
}

impl From<&RawMessage> for Raw {
    fn from(message: &RawMessage) -> Self {
        let base64 = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| BASE64.encode(bytes));
        let headers = message
            .headers
            .iter()
            .map(|RawHeader { name, value }| RawHeaderShown { name: name.clone(), value: base64(value) });
        Self { key: base64(&message.key), value: base64(&message.value), headers: headers.collect() }
    }
}

pub(super) fn configure(app: &mut web::ServiceConfig, pool: PgPool) {
    app.app_data(web::Data::new(Letters(pool)))
        .route("/v1/ops/dead-letters", web::get().to(list))
        .route("/v1/ops/dead-letters/{id}", web::get().to(show))
        .route("/v1/ops/dead-letters/{id}/redrive", web::post().to(redrive));
}

#[derive(OpenApi)]
#[openapi(
    paths(list, show, redrive),
    components(schemas(DeadLetter, Letter, UnreadableMessage, State, Tried, Opened, Raw))
)]
pub(super) struct Document;

/// Events that this service has given up, and messages in which it found no event, oldest first.
#[utoipa::path(
    get, path = "/v1/ops/dead-letters", tag = "operations",
    params(Wanted, ("limit" = Option<u32>, Query, description = "1 to 200"), ("cursor" = Option<String>, Query, description = "next_cursor of the page before")),
    responses((status = 200, description = "A page", body = Paged<DeadLetter>)),
    security(("bearer" = []))
)]
async fn list(
    caller: Caller,
    letters: web::Data<Letters>,
    page: Page,
    wanted: Query<Wanted>,
) -> Result<Paged<DeadLetter>, Problem> {
    caller.require(Role::Admin)?;
    let Wanted { consumer, key, .. } = wanted.into_inner();
    let filter = Filter { consumer, key, id: None, after: page.after()? };
    let found = dead_letters::list_all(&letters.0, &filter, i64::from(page.limit) + 1).await?;
    Ok(Paged::new(found, page.limit, |last| (last.id(), last.consumer().to_owned())))
}

/// One of them, or one that is parked behind it, with its event.
#[utoipa::path(
    get, path = "/v1/ops/dead-letters/{id}", tag = "operations",
    params(("id" = Uuid, Path, description = "The event, or the message"), Shown),
    responses((status = 200, description = "The letter", body = Opened), (status = 404, description = "No such letter")),
    security(("bearer" = []))
)]
async fn show(
    caller: Caller,
    letters: web::Data<Letters>,
    id: PathId<Uuid>,
    how: Query<Shown>,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let raw = how.into_inner().raw;
    let opened = match find(&letters.0, id.into_inner()).await? {
        DeadLetter::Event(letter) => {
            let event = letter.event().as_ref().and_then(masked_json);
            Opened::Event { letter, event }
        }
        DeadLetter::Unreadable(message) => {
            let raw = raw.then(|| Raw::from(&message.message));
            Opened::Unreadable { message, raw }
        }
    };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(opened))
}

/// Hands a letter to its consumer once more, and then what is parked behind it, in order. A message that could not be read
/// is read once more; when there is an event in it by now, it is handled.
#[utoipa::path(
    post, path = "/v1/ops/dead-letters/{id}/redrive", tag = "operations",
    params(("id" = Uuid, Path, description = "The event, or the message"), How),
    responses(
        (status = 202, description = "It will go back, or would", body = DeadLetter),
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
    if letter.state() == State::Parked {
        let first = letter.behind().map(|first| format!(" {first}")).unwrap_or_default();
        let detail = format!("it waits behind the dead letter{first} of its key; redrive that one");
        return Err(Problem::conflict("parked", "Parked behind a dead letter", detail));
    }
    if !how.into_inner().dry_run {
        if !dead_letters::redrive_any(&letters.0, &letter).await? {
            return Err(Problem::not_found("dead letter"));
        }
        letter.set_state(State::Redriving);
        tracing::info!(letter = %letter.id(), consumer = letter.consumer(), by = %caller.subject, "redrive asked for");
    }
    Ok(HttpResponse::Accepted().json(letter))
}

async fn find(pool: &PgPool, id: Uuid) -> Result<DeadLetter, Problem> {
    dead_letters::find_any(pool, id)
        .await?
        .into_iter()
        .next()
        .ok_or_else(|| Problem::not_found("dead letter"))
}
