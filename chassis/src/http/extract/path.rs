//! Ids in paths.

use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::problem::Problem;

/// The length of a UUID as we write it; braces, URNs and missing dashes would be second names of one thing.
const UUID_LENGTH: usize = 36;

/// Extractor for the first parameter of the path as an id. What is no id names nothing: 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId<T>(pub T);

impl<T> PathId<T> {
    /// The id.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: FromStr> FromRequest for PathId<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.match_info().iter().next().map(|(_, text)| text);
        let id = text.filter(|text| text.len() == UUID_LENGTH).and_then(|text| text.parse().ok());
        ready(id.map(PathId).ok_or_else(|| Problem::not_found("resource")))
    }
}
