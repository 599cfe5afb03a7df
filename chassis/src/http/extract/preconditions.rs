//! Versions as entity tags (RFC 9110 §8.8.3, §13.1): `"7"` is version 7.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, ETag, EntityTag};
use actix_web::{FromRequest, HttpRequest, HttpResponse};

use crate::problem::Problem;

/// Extractor for `If-Match`, required: 428 when missing, 400 when malformed, 412 for a tag that no version of ours
/// could ever have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever version there is.
    Any,
    /// This version and no other.
    Version(i32),
}

impl IfMatch {
    /// The version that must be current; `None` for any.
    pub const fn version(self) -> Option<i32> {
        match self {
            IfMatch::Any => None,
            IfMatch::Version(version) => Some(version),
        }
    }

    /// 412 unless the current version is the one that the client knows.
    pub fn check(self, current: i32) -> Result<(), Problem> {
        match self {
            IfMatch::Version(version) if version != current => Err(Problem::precondition_failed()),
            _ => Ok(()),
        }
    }

    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let mut fields = request.headers().get_all(header::IF_MATCH);
        let field = fields.next().ok_or_else(Problem::precondition_required)?;
        let malformed = || Problem::bad_request("If-Match must be one entity tag as it was in ETag, or *");
        if fields.next().is_some() {
            return Err(malformed());
        }
        let text = field.to_str().map_err(|_| malformed())?.trim();
        if text == "*" {
            return Ok(IfMatch::Any);
        }
        let tag: EntityTag = text.parse().map_err(|_| malformed())?;
        // If-Match compares strongly (RFC 9110 §13.1.1): a weak tag never matches.
        if tag.weak {
            return Err(Problem::precondition_failed());
        }
        let version = version_of(tag.tag()).ok_or_else(Problem::precondition_failed)?;
        Ok(IfMatch::Version(version))
    }
}

fn version_of(tag: &str) -> Option<i32> {
    let version: i32 = tag.parse().ok()?;
    // One version, one tag: "+7" and "007" are not ours.
    (version.to_string() == tag).then_some(version)
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(IfMatch::read(request))
    }
}

/// The `ETag` header for a version: `response.insert_header(etag(version))`.
pub fn etag(version: i32) -> ETag {
    ETag(EntityTag::new_strong(version.to_string()))
}

/// The answer 304 when `If-None-Match` says that the client has this version already.
pub fn not_modified(request: &HttpRequest, version: i32) -> Option<HttpResponse> {
    let ours = EntityTag::new_strong(version.to_string());
    let known = request.headers().get_all(header::IF_NONE_MATCH).any(|field| {
        let text = field.to_str().unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.parse::<EntityTag>().is_ok_and(|tag| tag.weak_eq(&ours)))
    });
    known.then(|| HttpResponse::NotModified().insert_header(etag(version)).finish())
}
