//! `/v1/ops/faults`: what is to go wrong, on demand. For administrators, and only where faults are allowed.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Serialize;
use utoipa::OpenApi;
use viscount_actors::{
    Supervisor, TreeNode,
    faults::{ActiveFault, BadFault, Fault},
};

use super::{
    extract::{Body, Query},
    supervision::Named,
};
use crate::{
    auth::{Caller, Role},
    problem::Problem,
};

#[derive(Clone)]
struct Place {
    service: &'static str,
    supervisor: Supervisor,
}

#[derive(Serialize)]
struct InForce {
    service: &'static str,
    items: Vec<ActiveFault>,
}

#[derive(Serialize)]
struct Cleared {
    cleared: usize,
}

pub(super) fn configure(app: &mut web::ServiceConfig, service: &'static str, supervisor: &Supervisor) {
    app.app_data(web::Data::new(Place { service, supervisor: supervisor.clone() }))
        .route("/v1/ops/faults", web::get().to(list))
        .route("/v1/ops/faults", web::post().to(set))
        .route("/v1/ops/faults", web::delete().to(clear_all))
        .route("/v1/ops/faults/{id}", web::delete().to(clear));
}

#[derive(OpenApi)]
#[openapi(paths(list, set, clear_all, clear))]
pub(super) struct Document;

/// The faults in force.
#[utoipa::path(
    get, path = "/v1/ops/faults", tag = "operations",
    responses((status = 200, description = "The service and its faults", body = Object)),
    security(("bearer" = []))
)]
async fn list(
    caller: Caller,
    place: web::Data<Place>,
    _named: Query<Named>,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let items = place.supervisor.faults().list();
    let shown = InForce { service: place.service, items };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(shown))
}

/// Sets a fault: `{kind, actor?, entity?, every?, delay_ms?, times?, expires_in_seconds?, id?}`.
#[utoipa::path(
    post, path = "/v1/ops/faults", tag = "operations", request_body = Object,
    responses(
        (status = 201, description = "In force", body = Object),
        (status = 422, description = "It cannot be meant"),
    ),
    security(("bearer" = []))
)]
async fn set(
    caller: Caller,
    place: web::Data<Place>,
    _named: Query<Named>,
    body: Body<Fault>,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let fault = body.into_inner();
    check(&place, &fault)?;
    let set = place.supervisor.faults().set(fault).map_err(refused)?;
    tracing::warn!(service = place.service, by = %caller.subject, "a fault is set by hand");
    Ok(HttpResponse::Created().json(set))
}

/// Takes all faults back.
#[utoipa::path(
    delete, path = "/v1/ops/faults", tag = "operations",
    responses((status = 200, description = "How many there were", body = Object)),
    security(("bearer" = []))
)]
async fn clear_all(
    caller: Caller,
    place: web::Data<Place>,
    _named: Query<Named>,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    Ok(HttpResponse::Ok().json(Cleared { cleared: place.supervisor.faults().clear_all() }))
}

/// Takes one fault back.
#[utoipa::path(
    delete, path = "/v1/ops/faults/{id}", tag = "operations",
    params(("id" = String, Path, description = "The fault")),
    responses((status = 204, description = "Gone"), (status = 404, description = "No such fault")),
    security(("bearer" = []))
)]
async fn clear(
    caller: Caller,
    place: web::Data<Place>,
    _named: Query<Named>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    let id = request.match_info().get("id").unwrap_or_default();
    match place.supervisor.faults().clear(id) {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::not_found("fault")),
    }
}

/// A fault that nothing here could ever meet is a mistake of whoever sets it.
fn check(place: &Place, fault: &Fault) -> Result<(), Problem> {
    if !place.supervisor.faults().offers(fault.kind) {
        let detail = "nothing in this service can fail like that";
        return Err(Problem::unprocessable(detail).with_error("/kind", detail));
    }
    let Some(actor) = &fault.actor else { return Ok(()) };
    let mut names = Vec::new();
    collect(&place.supervisor.snapshot(), &mut names);
    if names.contains(&actor.as_str()) {
        return Ok(());
    }
    let detail = format!("is none of this service's actors: {}", names.join(", "));
    Err(Problem::unprocessable("there is no such actor").with_error("/actor", detail))
}

fn collect(node: &TreeNode, names: &mut Vec<&'static str>) {
    if node.kind != "supervisor" && !names.contains(&node.name) {
        names.push(node.name);
    }
    node.children.iter().for_each(|child| collect(child, names));
}

fn refused(bad: BadFault) -> Problem {
    match bad {
        BadFault::Field { field, problem } => {
            Problem::unprocessable("the fault cannot be meant").with_error(format!("/{field}"), problem)
        }
        BadFault::TooMany => Problem::conflict("too-many-faults", "Too many faults", bad.to_string()),
        BadFault::NotAllowed => Problem::not_found("fault"),
    }
}
