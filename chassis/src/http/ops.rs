//! The routes that every service has for those who run it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;

use super::health::Health;
use super::server::HttpSpec;
use crate::auth::{Caller, Role};
use crate::problem::Problem;
use crate::telemetry;

#[derive(Clone)]
pub(super) struct Ops {
    inner: Arc<Inner>,
}

struct Inner {
    health: Health,
    openapi: Bytes,
}

impl Ops {
    pub fn new(spec: &HttpSpec) -> Self {
        let openapi = serde_json::to_vec(&spec.openapi).unwrap_or_else(|_| b"{}".to_vec());
        Ops { inner: Arc::new(Inner { health: spec.health.clone(), openapi: openapi.into() }) }
    }
}

pub(super) fn configure(app: &mut web::ServiceConfig, ops: Ops) {
    app.app_data(web::Data::new(ops))
        .route("/livez", web::get().to(livez))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics))
        .route("/openapi.json", web::get().to(openapi))
        .route("/v1/ops/metrics", web::get().to(metrics_for_admins));
}

/// Never asks a dependency.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "alive" }))
}

async fn readyz(ops: web::Data<Ops>) -> HttpResponse {
    let report = ops.inner.health.report().await;
    let mut answer = if report.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((header::CACHE_CONTROL, "no-store")).json(report)
}

async fn metrics(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let (kind, text) = telemetry::metrics::scrape(accept)
        .await
        .map_err(|busy| Problem::unavailable(busy.to_string(), Duration::from_secs(1)))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((telemetry::metrics::PROCESS_ID, telemetry::metrics::process_id().to_string()))
        .content_type(kind)
        .body(text))
}

/// The same, where `/metrics` is kept from the outside: through the gateway, for an administrator.
async fn metrics_for_admins(caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require(Role::Admin)?;
    metrics(request).await
}

async fn openapi(ops: web::Data<Ops>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(ops.inner.openapi.clone())
}
