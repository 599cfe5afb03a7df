//! Query parameters.

use std::borrow::Cow;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use crate::http::page::is_paging;
use crate::problem::Problem;

/// Extractor for the query string. A parameter that is bad, given twice or unknown is named in a 400.
///
/// `T` should be `#[serde(deny_unknown_fields)]`, so that a typo is not swallowed. It need not know `limit` and
/// `cursor`: these belong to [`Page`](crate::http::Page), beside which it may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T> Query<T> {
    /// The parameters.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned> Query<T> {
    fn read(query: &str) -> Result<Self, Problem> {
        let pairs = || form_urlencoded::parse(query.as_bytes());
        if let Some((name, _)) = pairs().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            let name = name.replace('\0', "");
            return Err(Problem::bad_request(format!("the parameter {name} holds a NUL character")));
        }
        match parse(query) {
            Ok(value) => Ok(Query(value)),
            Err(problem) if !pairs().any(|(name, _)| is_paging(&name)) => Err(problem),
            Err(_) => {
                let own: Vec<_> = query.split('&').filter(|pair| !names_paging(pair)).collect();
                parse(&own.join("&")).map(Query)
            }
        }
    }
}

fn names_paging(pair: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| is_paging(&name))
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let name = error.path().to_string();
        let reason = error.inner().to_string();
        let reason: Cow<'_, str> = if reason.len() > 200 { "not acceptable".into() } else { reason.into() };
        Problem::bad_request(match name.as_str() {
            // The whole query is at fault, and the reason names the parameter: one is missing, or unknown.
            "" | "." => format!("query parameters: {reason}"),
            name => format!("the parameter {name}: {reason}"),
        })
    })
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Query::read(request.query_string()))
    }
}
