//! Settings that take effect while services run.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    http::header::{ETag, EntityTag, IF_MATCH, IF_NONE_MATCH},
    web::{Data, Path},
};
use viscount_chassis::{
    http::{Body, Closing, IfMatch, Page, Paged, Query, etag},
    problem::Problem,
};

use super::{
    Api,
    access::{Admin, Staff},
    conditional::{Tagged, news},
    problem::bad_name,
    wire::{ConfigurationBody, SettingsBody, WaitQuery},
};
use crate::{
    configurations::Expected,
    domain::{ServiceName, Settings},
    refusal::Refusal,
    store,
};

/// The settings of a service; of `all`, those for everyone. What was never set has version 0 and is empty.
///
/// With `If-None-Match` and `wait`, the answer comes when they are replaced, or is 304 when the time is up.
#[utoipa::path(
    get, path = "/v1/config/{service}", tag = "coordination", security(("bearer" = [])),
    params(("service" = String, Path, description = "A service, or all"), WaitQuery),
    responses(
        (status = 200, description = "The settings", body = ConfigurationBody, headers(("ETag" = String, description = "Their version"))),
        (status = 304, description = "What the client knows is so still")
    )
)]
pub async fn show(
    api: Data<Api>,
    _: Staff,
    request: HttpRequest,
    closing: Closing,
    service: Path<String>,
    query: Query<WaitQuery>,
) -> Result<HttpResponse, Problem> {
    let service = ServiceName::new(&service).map_err(bad_name)?;
    let look = || async {
        let found = api.configurations.of(&service).await?;
        let version = found.as_ref().map_or(0, |configuration| configuration.version);
        Ok::<_, Refusal>(Tagged { value: found, tag: EntityTag::new_strong(version.to_string()) })
    };
    let change = format!("configuration:{service}");
    match news(&request, &api.bell, closing, query.into_inner().wait, &change, look).await? {
        Err(not_modified) => Ok(not_modified),
        Ok(Tagged { value, tag }) => {
            let body = value.map_or_else(|| ConfigurationBody::nothing(&service), ConfigurationBody::from);
            Ok(HttpResponse::Ok().insert_header(ETag(tag)).json(body))
        }
    }
}

/// Replaces all settings of a service. `If-Match` names the version that is replaced, `If-None-Match: *` says that there
/// is none yet.
#[utoipa::path(
    put, path = "/v1/config/{service}", tag = "coordination", security(("bearer" = [])), request_body = SettingsBody,
    params(
        ("service" = String, Path, description = "A service, or all"),
        ("If-Match" = Option<String>, Header, description = "The version that is replaced"),
        ("If-None-Match" = Option<String>, Header, description = "*: there is none yet")
    ),
    responses(
        (status = 200, description = "Replaced", body = ConfigurationBody, headers(("ETag" = String, description = "Their version"))),
        (status = 412, description = "They were replaced in the meantime", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "They cannot be used", body = Problem, content_type = "application/problem+json"),
        (status = 428, description = "Neither If-Match nor If-None-Match", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn replace(
    api: Data<Api>,
    admin: Admin,
    request: HttpRequest,
    service: Path<String>,
    body: Body<SettingsBody>,
) -> Result<HttpResponse, Problem> {
    let service = ServiceName::new(&service).map_err(bad_name)?;
    let expected = expected(&request).await?;
    let settings = Settings::new(&service, body.into_inner().settings).map_err(Refusal::BadSettings)?;
    let replaced = api.configurations.replace(&service, expected, settings, admin.subject).await?;
    Ok(HttpResponse::Ok().insert_header(etag(replaced.version)).json(ConfigurationBody::from(replaced)))
}

/// The settings as they were, the newest first.
#[utoipa::path(
    get, path = "/v1/config/{service}/history", tag = "coordination", security(("bearer" = [])),
    params(
        ("service" = String, Path, description = "A service, or all"),
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless given"),
        ("cursor" = Option<String>, Query, description = "From next_cursor")
    ),
    responses((status = 200, description = "A page", body = Paged<ConfigurationBody>))
)]
pub async fn history(
    api: Data<Api>,
    _: Staff,
    page: Page,
    service: Path<String>,
) -> Result<Paged<ConfigurationBody>, Problem> {
    let service = ServiceName::new(&service).map_err(bad_name)?;
    let before: Option<i32> = page.after()?;
    let found = store::history(api.configurations.pool(), &service, before, page.limit + 1).await?;
    Ok(Paged::new(found, page.limit, |last| last.version).map(ConfigurationBody::from))
}

async fn expected(request: &HttpRequest) -> Result<Expected, Problem> {
    let headers = request.headers();
    if headers.contains_key(IF_MATCH) {
        let expected = IfMatch::extract(request).await?;
        return Ok(expected.version().map_or(Expected::Any, Expected::Version));
    }
    match headers.get(IF_NONE_MATCH).map(|field| field.as_bytes()) {
        Some(b"*") => Ok(Expected::Version(0)),
        Some(_) => Err(Problem::bad_request("If-None-Match must be * here; name a version in If-Match")),
        None => Err(Problem::precondition_required()),
    }
}
