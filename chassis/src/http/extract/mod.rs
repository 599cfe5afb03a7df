//! Extractors: what a request must bring, said in a handler's signature. All refuse with a problem.

mod body;
mod idempotency;
mod path;
mod preconditions;
mod prefer;
mod query;

use std::time::Duration;

use actix_web::web;

pub use body::Body;
pub(super) use body::nul_pointer;
pub use idempotency::IdempotencyKey;
pub use path::PathId;
pub use preconditions::{IfMatch, etag, not_modified};
pub use prefer::PreferWait;
pub use query::Query;

use crate::problem::Problem;

/// How much may come in, and how slowly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// How long a body may take to arrive.
    pub body_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body: super::HttpSpec::BODY_LIMIT, body_deadline: super::HttpSpec::DEADLINE / 2 }
    }
}

/// Makes actix's own extractors, where a service uses one, refuse as ours do.
pub(super) fn actix_configs(app: &mut web::ServiceConfig, limits: Limits) {
    app.app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found("path").into()))
        .app_data(web::PayloadConfig::new(limits.body))
        .app_data(web::JsonConfig::default().limit(limits.body))
        .app_data(web::FormConfig::default().limit(limits.body));
}
