//! `Prefer: wait=5` (RFC 7240 §4.3): a client that would rather wait for the final state.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};

/// Nobody waits longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Extractor for `Prefer: wait`, at most 30 s. A preference that cannot be understood is ignored, as the RFC has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreferWait(pub Option<Duration>);

impl PreferWait {
    /// What the header fields prefer. The first `wait` counts.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let texts = headers.get_all("prefer").filter_map(|field| field.to_str().ok());
        let wait = texts.flat_map(|text| text.split(',')).find_map(|preference| {
            let preference = preference.split(';').next()?;
            let (name, value) = preference.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
        });
        let digits = wait.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        // More digits than a number can hold is still a wish to wait long.
        PreferWait(digits.map(|text| text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST)))
    }
}

impl FromRequest for PreferWait {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(PreferWait::of(request.headers())))
    }
}
