//! Locks: leases with fencing tokens.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use metrics::counter;
use viscount_chassis::{
    http::{Body, Closing, Query},
    problem::Problem,
};

use super::{
    Api,
    access::Staff,
    problem::bad_name,
    wire::{AcquireBody, LockBody, LockStateBody, RenewBody, TokenQuery},
};
use crate::{
    bell::Woken,
    domain::{LockName, Owner},
    metrics::LOCKS,
    refusal::Refusal,
    store::{self, Lock},
};

/// The longest that a lock may be held without being renewed, in seconds.
const LONGEST: i64 = 300;
/// The longest wait for a lock, in seconds.
const LONGEST_WAIT: i64 = 30;

/// Takes a lock that is free, or waits until it is. Who has it already gets it again, with a new token.
#[utoipa::path(
    post, path = "/v1/locks/{name}", tag = "coordination", security(("bearer" = [])), request_body = AcquireBody,
    params(("name" = String, Path, description = "The lock")),
    responses(
        (status = 201, description = "Taken", body = LockBody),
        (status = 409, description = "Held by another", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Something is wrong with the request, or there are too many locks", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn acquire(
    api: Data<Api>,
    _: Staff,
    name: Path<String>,
    closing: Closing,
    body: Body<AcquireBody>,
) -> Result<HttpResponse, Problem> {
    let name = LockName::new(&name).map_err(bad_name)?;
    let body = body.into_inner();
    let mut wrong = Problem::unprocessable("the lock cannot be taken like this");
    let owner = match Owner::new(&body.owner) {
        Ok(owner) => Some(owner),
        Err(error) => {
            wrong = wrong.with_error("/owner", error.to_string());
            None
        }
    };
    let ttl = seconds(body.ttl_seconds, 1, LONGEST);
    if ttl.is_none() {
        wrong = wrong.with_error("/ttl_seconds", format!("must be from 1 to {LONGEST}"));
    }
    let wait = seconds(body.wait_seconds.unwrap_or(0), 0, LONGEST_WAIT);
    if wait.is_none() {
        wrong = wrong.with_error("/wait_seconds", format!("must be from 0 to {LONGEST_WAIT}"));
    }
    let (Some(owner), Some(ttl), Some(wait)) = (owner, ttl, wait) else { return Err(wrong) };
    let taken = taken(&api, &name, &owner, ttl, wait, closing).await;
    let outcome = match &taken {
        Ok(_) => "taken",
        Err(Refusal::TooManyLocks) => "full",
        Err(Refusal::Held { .. }) => "held",
        Err(_) => "failed",
    };
    counter!(LOCKS, "outcome" => outcome).increment(1);
    Ok(HttpResponse::Created().json(LockBody::from(taken?)))
}

async fn taken(
    api: &Api,
    name: &LockName,
    owner: &Owner,
    ttl: Duration,
    wait: Duration,
    closing: Closing,
) -> Result<Lock, Refusal> {
    let pool = api.registry.pool();
    let mut waiter = match wait {
        Duration::ZERO => None,
        wait => Some(api.bell.wait(wait, closing)?),
    };
    let released = format!("lock:{}", name.as_str());
    loop {
        if let Some(lock) = store::acquire(pool, name, owner, ttl).await? {
            return Ok(lock);
        }
        let Some(lock) = store::find_lock(pool, name).await? else { return Err(Refusal::TooManyLocks) };
        let until = lock.expires_at;
        let Some(waiter) = &mut waiter else { return Err(Refusal::Held { until }) };
        // Given back, or expired: of the latter nobody tells.
        let left = Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or_default();
        if waiter.woken(&released, Some(left.max(Duration::from_millis(20)))).await == Woken::TimeIsUp {
            return Err(Refusal::Held { until });
        }
    }
}

/// Keeps a lock for longer.
#[utoipa::path(
    put, path = "/v1/locks/{name}", tag = "coordination", security(("bearer" = [])), request_body = RenewBody,
    params(("name" = String, Path, description = "The lock")),
    responses(
        (status = 200, description = "Kept", body = LockBody),
        (status = 404, description = "Never taken", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not held with this token any more", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn renew(
    api: Data<Api>,
    _: Staff,
    name: Path<String>,
    body: Body<RenewBody>,
) -> Result<Json<LockBody>, Problem> {
    let name = LockName::new(&name).map_err(bad_name)?;
    let RenewBody { token, ttl_seconds } = body.into_inner();
    let Some(ttl) = seconds(ttl_seconds, 1, LONGEST) else {
        let wrong = Problem::unprocessable("the lock cannot be kept like this");
        return Err(wrong.with_error("/ttl_seconds", format!("must be from 1 to {LONGEST}")));
    };
    match store::renew_lock(api.registry.pool(), &name, token, ttl).await? {
        Some(lock) => Ok(Json(lock.into())),
        None => Err(lost(&api, name).await?.into()),
    }
}

/// Gives a lock back. Again, it does no harm.
#[utoipa::path(
    delete, path = "/v1/locks/{name}", tag = "coordination", security(("bearer" = [])),
    params(("name" = String, Path, description = "The lock"), TokenQuery),
    responses(
        (status = 204, description = "Free"),
        (status = 404, description = "Never taken", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Somebody was given it since", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn release(
    api: Data<Api>,
    _: Staff,
    name: Path<String>,
    query: Query<TokenQuery>,
) -> Result<HttpResponse, Problem> {
    let name = LockName::new(&name).map_err(bad_name)?;
    if store::release(api.registry.pool(), &name, query.into_inner().token).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    Err(lost(&api, name).await?.into())
}

/// A lock as it is.
#[utoipa::path(
    get, path = "/v1/locks/{name}", tag = "coordination", security(("bearer" = [])),
    params(("name" = String, Path, description = "The lock")),
    responses(
        (status = 200, description = "The lock", body = LockStateBody),
        (status = 404, description = "Never taken", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn show(api: Data<Api>, _: Staff, name: Path<String>) -> Result<Json<LockStateBody>, Problem> {
    let name = LockName::new(&name).map_err(bad_name)?;
    let lock = store::find_lock(api.registry.pool(), &name).await?.ok_or(Refusal::UnknownLock)?;
    Ok(Json(lock.into()))
}

/// Why a token does not hold a lock.
async fn lost(api: &Api, name: LockName) -> Result<Refusal, Problem> {
    let known = store::find_lock(api.registry.pool(), &name).await?.is_some();
    Ok(if known { Refusal::Lost { name } } else { Refusal::UnknownLock })
}

fn seconds(given: i64, least: i64, most: i64) -> Option<Duration> {
    (least..=most).contains(&given).then(|| Duration::from_secs(given.unsigned_abs()))
}
