//! `If-None-Match` with `?wait=`: an answer when there is news, or 304 when the time is up (RFC 9110 §13.1.2).

use std::{future::Future, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ETag, EntityTag},
};
use viscount_chassis::{http::Closing, problem::Problem};

use crate::{
    bell::{Bell, Woken},
    refusal::Refusal,
};

/// The longest wait that may be asked for, in seconds.
pub const LONGEST: u64 = 30;

/// Something that can be asked for again, with the tag of its present state.
pub struct Tagged<T> {
    /// What it is.
    pub value: T,
    /// Its tag.
    pub tag: EntityTag,
}

/// Looks, and as long as the client knows what is there, waits and looks again.
pub async fn news<T, F, Fut>(
    request: &HttpRequest,
    bell: &Bell,
    closing: Closing,
    wait: Option<u64>,
    change: &str,
    look: F,
) -> Result<Result<Tagged<T>, HttpResponse>, Problem>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Tagged<T>, Refusal>>,
{
    let patience = match wait {
        None | Some(0) => Duration::ZERO,
        Some(seconds) if seconds <= LONGEST => Duration::from_secs(seconds),
        Some(_) => return Err(Problem::bad_request(format!("the parameter wait must be 0 to {LONGEST}"))),
    };
    let conditional = request.headers().contains_key(header::IF_NONE_MATCH);
    if !conditional || patience.is_zero() {
        let found = look().await?;
        return Ok(unless_known(request, found));
    }
    let mut waiter = bell.wait(patience, closing)?;
    loop {
        let found = look().await?;
        let answer = unless_known(request, found);
        if answer.is_ok() || waiter.woken(change, None).await == Woken::TimeIsUp {
            return Ok(answer);
        }
    }
}

/// What was found, or 304 when the client has it already.
fn unless_known<T>(request: &HttpRequest, found: Tagged<T>) -> Result<Tagged<T>, HttpResponse> {
    let known = request.headers().get_all(header::IF_NONE_MATCH).any(|field| {
        let tags = field.to_str().unwrap_or_default().split(',').map(str::trim);
        let fits =
            |tag: &str| tag == "*" || tag.parse::<EntityTag>().is_ok_and(|tag| tag.weak_eq(&found.tag));
        tags.into_iter().any(fits)
    });
    if known { Err(HttpResponse::NotModified().insert_header(ETag(found.tag)).finish()) } else { Ok(found) }
}
