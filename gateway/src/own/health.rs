//! `/readyz`: the door is open, and how each service is.
//!
//! A missing service degrades the gateway and does not close it: the others go on. Unready is who drains, or who can
//! reach nobody at all.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use serde::Serialize;
use viscount_chassis::resilience::BreakerState;

use super::json;
use crate::server::Phase;
use crate::upstream::Upstream;
use crate::upstream::pool::Pool;
use crate::wire::body::Body;

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: BTreeMap<&'static str, Check>,
}

#[derive(Serialize)]
struct Check {
    status: &'static str,
    instances: usize,
    ready: usize,
    open_breakers: usize,
}

pub(super) fn readyz(upstream: &Upstream, phase: Phase) -> Response<Body> {
    let checks: BTreeMap<_, _> =
        upstream.pools().iter().map(|pool| (pool.service.name(), check(pool))).collect();
    let (up, all) = (checks.values().filter(|check| check.ready > 0).count(), checks.len());
    let (code, status) = match phase {
        Phase::Draining | Phase::Closed => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Phase::Open if up == all => (StatusCode::OK, "ready"),
        Phase::Open if up > 0 => (StatusCode::OK, "degraded"),
        Phase::Open => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    json(code, &Readiness { status, checks })
}

fn check(pool: &Pool) -> Check {
    let open = |state| state == BreakerState::Open;
    let members = pool.members();
    let instances = members.len();
    let ready = members.iter().filter(|one| one.is_ready() && !open(one.guard.state())).count();
    let status = if ready == instances && ready > 0 {
        "ready"
    } else if ready > 0 {
        "degraded"
    } else {
        "unavailable"
    };
    let open_breakers = members.iter().filter(|one| open(one.guard.state())).count();
    Check { status, instances, ready, open_breakers }
}
