//! What runs: for instances, and for those who look for them.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, HeaderValue, LOCATION},
    web::{Data, Json},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use viscount_chassis::{
    http::{Body, Closing, Page, Paged, PathId, Query},
    problem::Problem,
};

use super::{
    Api,
    access::Staff,
    conditional::{Tagged, news},
    wire::{HealthBody, InstanceBody, ListQuery, RegistrationBody},
};
use crate::{
    domain::{Address, InstanceId, Lease, Metadata, Registration, ServiceName},
    refusal::Refusal,
    registry::Registered,
    store::{self, Instance},
};

/// Takes up an instance. The same one again renews its lease, and replaces what it told before.
#[utoipa::path(
    post, path = "/v1/services/register", tag = "coordination", request_body = RegistrationBody, security(("bearer" = [])),
    responses(
        (status = 201, description = "Registered", body = InstanceBody),
        (status = 200, description = "It was there already; its lease is renewed", body = InstanceBody),
        (status = 409, description = "The instance is registered as another service", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Something is wrong with it, or there are too many instances", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn register(
    api: Data<Api>,
    _: Staff,
    body: Body<RegistrationBody>,
) -> Result<HttpResponse, Problem> {
    let told = registration(body.into_inner())?;
    let location = (LOCATION, format!("/v1/services/{}", told.id));
    Ok(match api.registry.register(told).await? {
        Registered::New(instance) => {
            HttpResponse::Created().insert_header(location).json(InstanceBody::from(instance))
        }
        Registered::Known(instance) => HttpResponse::Ok().json(InstanceBody::from(instance)),
    })
}

/// Renews an instance's lease. After 404 it has to register again.
#[utoipa::path(
    post, path = "/v1/services/{id}/heartbeat", tag = "coordination", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The instance")),
    responses((status = 200, description = "Renewed", body = InstanceBody), (status = 404, description = "Not registered, or expired", body = Problem, content_type = "application/problem+json"))
)]
pub async fn heartbeat(
    api: Data<Api>,
    _: Staff,
    id: PathId<InstanceId>,
) -> Result<Json<InstanceBody>, Problem> {
    Ok(Json(api.registry.renew(id.into_inner()).await?.into()))
}

/// An instance leaves.
#[utoipa::path(
    delete, path = "/v1/services/{id}", tag = "coordination", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The instance")),
    responses((status = 204, description = "Gone"), (status = 404, description = "Not registered", body = Problem, content_type = "application/problem+json"))
)]
pub async fn leave(api: Data<Api>, _: Staff, id: PathId<InstanceId>) -> Result<HttpResponse, Problem> {
    api.registry.leave(id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// One instance.
#[utoipa::path(
    get, path = "/v1/services/{id}", tag = "coordination", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The instance")),
    responses((status = 200, description = "The instance", body = InstanceBody), (status = 404, description = "Not registered", body = Problem, content_type = "application/problem+json"))
)]
pub async fn show(api: Data<Api>, _: Staff, id: PathId<InstanceId>) -> Result<Json<InstanceBody>, Problem> {
    Ok(Json(api.registry.find(id.into_inner()).await?.into()))
}

/// How an instance is, as it answered last.
#[utoipa::path(
    get, path = "/v1/services/{id}/health", tag = "coordination", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The instance")),
    responses((status = 200, description = "How it is", body = HealthBody), (status = 404, description = "Not registered", body = Problem, content_type = "application/problem+json"))
)]
pub async fn health(api: Data<Api>, _: Staff, id: PathId<InstanceId>) -> Result<HttpResponse, Problem> {
    let instance = api.registry.find(id.into_inner()).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(HealthBody::from(instance)))
}

/// Registered instances, by service.
///
/// The `ETag` tells of what instances there are, where, and how they are; renewed leases do not change it, hence it is
/// weak. With `If-None-Match` and `wait`, the answer comes when there is news, or is 304 when the time is up.
#[utoipa::path(
    get, path = "/v1/services", tag = "coordination", security(("bearer" = [])), params(ListQuery),
    responses(
        (status = 200, description = "A page", body = Paged<InstanceBody>, headers(("ETag" = String, description = "Which instances, where and how"))),
        (status = 304, description = "What the client knows is so still"),
        (status = 400, description = "A parameter cannot be used", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn list(
    api: Data<Api>,
    _: Staff,
    request: HttpRequest,
    closing: Closing,
    page: Page,
    query: Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let service =
        query.service.as_deref().map(ServiceName::new).transpose().map_err(super::problem::bad_name)?;
    let after: Option<(String, Uuid)> = page.after()?;
    let look = || async {
        let pool = api.registry.pool();
        let found = store::list(pool, service.as_ref(), query.health, after.as_ref(), page.limit + 1).await?;
        Ok::<_, Refusal>(Tagged { tag: tag(&found), value: found })
    };
    let answer = news(&request, &api.bell, closing, query.wait, "instances", look).await?;
    let Tagged { value, tag } = match answer {
        Ok(found) => found,
        Err(not_modified) => return Ok(not_modified),
    };
    let page =
        Paged::new(value, page.limit, |last| (last.service.clone(), last.id.uuid())).map(InstanceBody::from);
    let mut response = page.respond_to(&request);
    if let Ok(tag) = HeaderValue::from_str(&tag.to_string()) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// The same instances in the same state have the same tag, at every replica.
fn tag(instances: &[Instance]) -> EntityTag {
    let mut digest = Sha256::new();
    for instance in instances {
        digest.update(instance.id.uuid());
        digest.update(instance.version.to_be_bytes());
        digest.update(instance.registered_at.as_microsecond().to_be_bytes());
    }
    let digest = digest.finalize();
    EntityTag::new_weak(digest[..12].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn registration(body: RegistrationBody) -> Result<Registration, Problem> {
    let mut problem = Problem::unprocessable("the instance cannot be registered like this");
    let mut wrong = |pointer: &str, detail: String| {
        problem.errors.push(viscount_chassis::problem::FieldError { pointer: pointer.to_owned(), detail })
    };
    let service = ServiceName::new(&body.service).map_err(|error| wrong("/service", error.to_string())).ok();
    let service = service.filter(|service| {
        let reserved = service.as_str() == ServiceName::ALL;
        if reserved {
            wrong("/service", "all stands for every service".to_owned());
        }
        !reserved
    });
    let address = Address::new(&body.address).map_err(|error| wrong("/address", error.to_string())).ok();
    let build = Registration::build(&body.version).map_err(|error| wrong("/version", error.to_string())).ok();
    let lease = match body.lease_seconds {
        None => Some(Lease::DEFAULT),
        Some(seconds) => Lease::new(seconds).map_err(|error| wrong("/lease_seconds", error.to_string())).ok(),
    };
    let metadata = Metadata::new(body.metadata.unwrap_or_default());
    let metadata = metadata.map_err(|error| wrong("/metadata", error.to_string())).ok();
    match (service, address, build, lease, metadata) {
        (Some(service), Some(address), Some(build), Some(lease), Some(metadata)) => {
            Ok(Registration { id: body.instance_id.into(), service, address, build, lease, metadata })
        }
        _ => Err(problem),
    }
}
