//! Lists: a page at a time, with opaque cursors.
//!
//! A cursor holds the sort key of the last item, not an offset: what is inserted meanwhile neither repeats nor skips
//! an item. Clients get it as base64url and must not look inside.

use std::collections::HashMap;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use crate::problem::Problem;

/// Items on a page unless the client says otherwise.
pub const DEFAULT_LIMIT: u32 = 50;
/// Items on a page at most.
pub const MAX_LIMIT: u32 = 200;
/// A cursor longer than this is none of ours.
const MAX_CURSOR: usize = 1024;

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor that holds a value, such as the sort key of the last item. `None` when the value cannot be JSON.
    pub fn encode<T: Serialize>(value: &T) -> Option<Self> {
        serde_json::to_vec(value).ok().map(|json| Cursor(URL_SAFE_NO_PAD.encode(json)))
    }

    /// The value in it; 400 when it is not one of ours.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let refused =
            || Problem::bad_request("the parameter cursor is not one of ours; take it from next_cursor");
        let json = URL_SAFE_NO_PAD.decode(&self.0).map_err(|_| refused())?;
        if super::extract::nul_pointer(&json).is_some() {
            return Err(refused());
        }
        serde_json::from_slice(&json).map_err(|_| refused())
    }

    /// The cursor as clients see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Extractor for `?limit=` and `?cursor=`; 400 when either is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Items wanted, 1 to 200.
    pub limit: u32,
    /// Where to go on; none: from the start.
    pub cursor: Option<Cursor>,
}

impl Page {
    /// The value in the cursor, when there is one.
    pub fn after<T: DeserializeOwned>(&self) -> Result<Option<T>, Problem> {
        self.cursor.as_ref().map(Cursor::decode).transpose()
    }

    fn read(query: &str) -> Result<Self, Problem> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|_| Problem::bad_request("the query string cannot be parsed"))?
            .into_inner();
        let mut given = HashMap::new();
        for (name, value) in pairs.into_iter().filter(|(name, _)| is_paging(name)) {
            if given.insert(name.clone(), value).is_some() {
                return Err(Problem::bad_request(format!("the parameter {name} is given twice")));
            }
        }
        let limit = match given.remove("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
                    Problem::bad_request(format!("the parameter limit must be 1 to {MAX_LIMIT}"))
                })?
            }
        };
        let cursor = match given.remove("cursor") {
            Some(text) if text.is_empty() || text.len() > MAX_CURSOR => {
                return Err(Problem::bad_request("the parameter cursor is not one of ours"));
            }
            other => other.map(Cursor),
        };
        Ok(Page { limit, cursor })
    }
}

/// The two parameters that belong to [`Page`].
pub(super) fn is_paging(name: &str) -> bool {
    matches!(name, "limit" | "cursor")
}

impl FromRequest for Page {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Page::read(request.query_string()))
    }
}

/// One page of a list, as the answer: the body, and `Link: <…>; rel="next"` while there is more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Paged<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor>,
}

impl<T> Paged<T> {
    /// A page out of up to `limit + 1` items: fetch one more than asked for, and its presence says that there is a
    /// next page. `key` gives what the cursor must hold of the last item shown.
    pub fn new<K: Serialize>(mut items: Vec<T>, limit: u32, key: impl FnOnce(&T) -> K) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().and_then(|last| Cursor::encode(&key(last))) } else { None };
        Paged { items, next_cursor }
    }

    /// The same page with its items turned into something else.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(turn).collect(), next_cursor: self.next_cursor }
    }
}

impl<T: Serialize> Responder for Paged<T> {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        if let Some(next) = &self.next_cursor {
            answer.insert_header((header::LINK, format!("<{}>; rel=\"next\"", next_link(request, next))));
        }
        answer.json(self)
    }
}

/// The same request with another cursor, relative, so that it holds behind any gateway.
fn next_link(request: &HttpRequest, next: &Cursor) -> String {
    let mut link = format!("{}?", request.path());
    let kept = request.query_string().split('&').filter(|pair| !pair.is_empty());
    for pair in kept.filter(|pair| pair.split('=').next() != Some("cursor")) {
        link.push_str(pair);
        link.push('&');
    }
    link.push_str("cursor=");
    link.push_str(next.as_str());
    // A query string may hold the closing bracket of the link's own syntax (RFC 8288 §3).
    link.replace('>', "%3E").replace('<', "%3C")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_the_round_trip(name in "[^\\x00]{0,20}", number in any::<i64>()) {
            let value = (name, number);
            let cursor = Cursor::encode(&value);
            prop_assert!(cursor.as_ref().is_some_and(|cursor| cursor.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))));
            prop_assert_eq!(cursor.and_then(|cursor| cursor.decode::<(String, i64)>().ok()), Some(value));
        }

        #[test]
        fn any_query_is_a_page_or_a_400(query in "\\PC{0,60}", limit in "[0-9-]{0,4}", cursor in "\\PC{0,20}") {
            for query in [query, format!("limit={limit}&cursor={cursor}")] {
                match Page::read(&query) {
                    Ok(page) => {
                        prop_assert!((1..=MAX_LIMIT).contains(&page.limit));
                        if let Err(problem) = page.after::<(String, i64)>() {
                            prop_assert_eq!(problem.status, 400);
                        }
                    }
                    Err(problem) => prop_assert_eq!(problem.status, 400),
                }
            }
        }
    }

    #[test]
    fn the_last_page_says_so() {
        let full = Paged::new(vec![1, 2, 3], 2, |last| *last);
        assert_eq!((full.items.as_slice(), full.next_cursor.is_some()), (&[1, 2][..], true));
        let last = Paged::new(vec![1, 2], 2, |last| *last);
        assert_eq!((last.items.as_slice(), last.next_cursor.is_some()), (&[1, 2][..], false));
    }
}
