//! What the gateway answers itself: health, metrics, documentation.

mod docs;
mod health;
mod openapi;

use std::sync::Arc;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;
use viscount_chassis::telemetry::metrics::{PROCESS_ID, process_id, scrape};

use crate::refusal::Refusal;
use crate::routes::Own;
use crate::server::PhaseWatch;
use crate::upstream::Upstream;
use crate::wire::body::Body;

/// Answers that need no service, or all of them.
pub(crate) struct OwnAnswers {
    upstream: Arc<Upstream>,
    phase: PhaseWatch,
    document: openapi::Cache,
}

impl OwnAnswers {
    pub(crate) fn new(upstream: Arc<Upstream>, phase: PhaseWatch) -> Self {
        OwnAnswers { upstream, phase, document: openapi::Cache::new() }
    }

    pub(crate) async fn answer(
        &self,
        own: Own,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        Ok(match own {
            Own::Livez => json(StatusCode::OK, &serde_json::json!({"status": "alive"})),
            Own::Readyz => health::readyz(&self.upstream, self.phase.now()),
            Own::Metrics => exposition(headers).await?,
            Own::OpenApi => of_type("application/json", self.document.get(&self.upstream).await),
            Own::Docs => docs::index(),
            Own::DocsFile => {
                docs::file(path.rsplit('/').next().unwrap_or_default()).ok_or(Refusal::NoSuchDocument)?
            }
        })
    }
}

async fn exposition(headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let (kind, text) = scrape(accept).await.map_err(|_| Refusal::MetricsBusy)?;
    let mut response = of_type(kind, text);
    if let Ok(process) = HeaderValue::from_str(&process_id().to_string()) {
        response.headers_mut().insert(PROCESS_ID, process);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // Our own structures always serialize.
    let mut response = of_type("application/json", serde_json::to_vec(value).unwrap_or_default());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn of_type(media_type: &str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::own(body));
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        response.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    response
}
