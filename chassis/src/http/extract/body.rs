//! The JSON body of a request.
//!
//! Three ways to be wrong, told apart: it does not arrive or is too large (408, 413), it is not JSON (400), it is JSON
//! of the wrong shape (422, with a pointer to the place). NUL characters are refused here, once and for all: they are
//! valid in JSON and in no PostgreSQL text.

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_path_to_error::Segment;
use tokio::time::timeout;

use super::Limits;
use crate::problem::Problem;

/// The parser's words, which may quote the client's, are cut here.
const LONGEST_DETAIL: usize = 200;

/// Extractor for a JSON body. `T` should be `#[serde(deny_unknown_fields)]`, so that a typo is not swallowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body<T>(pub T);

impl<T> Body<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limits = request.app_data::<Limits>().copied().unwrap_or_default();
        let head = check_head(request, limits);
        let payload = payload.take();
        Box::pin(async move {
            let expected = head?;
            let read = timeout(limits.body_deadline, read(payload, expected, limits.body));
            let bytes = read.await.map_err(|_| Problem::request_timeout())??;
            parse(&bytes).map(Body)
        })
    }
}

/// What the head alone says: type and announced length, which is returned.
fn check_head(request: &HttpRequest, limits: Limits) -> Result<usize, Problem> {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(kind) {
        return Err(Problem::unsupported_media_type());
    }
    let announced: Option<u64> =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match announced {
        Some(length) if length > limits.body as u64 => Err(Problem::payload_too_large(limits.body)),
        other => Ok(other.unwrap_or_default() as usize),
    }
}

/// `application/json`, or any `application/…+json` (RFC 6839).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.strip_prefix("application/").is_some_and(|rest| rest.len() > 5 && rest.ends_with("+json"))
}

async fn read(mut payload: Payload, expected: usize, limit: usize) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body broke off"))?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::payload_too_large(limit));
        }
        if bytes.is_empty() && chunk.len() == expected {
            // The usual case, a small body in one piece: nothing to copy.
            return Ok(chunk);
        }
        bytes.reserve(expected.saturating_sub(bytes.len()).max(chunk.len()));
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if let Some(pointer) = nul_pointer(bytes) {
        return Err(Problem::unprocessable("text must not hold NUL characters")
            .with_error(pointer, "holds a NUL character"));
    }
    // The plain parser first: keeping track of the path costs an allocation per field, for nothing when all is well.
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) => Err(explain::<T>(bytes, &error)),
    }
}

/// Parses again, slowly, to find out what to say.
fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Problem {
    if let Err(syntax) = serde_json::from_slice::<IgnoredAny>(bytes) {
        let (line, column) = (syntax.line(), syntax.column());
        return Problem::malformed(format!("{} at line {line} column {column}", reason(&syntax)));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let (pointer, reason) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => (String::new(), reason(error)),
        Err(error) => (pointer(error.path(), error.inner()), reason(error.inner())),
    };
    Problem::unprocessable("the body does not have the shape that is expected here")
        .with_error(pointer, reason)
}

/// The parser's words without its position.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before);
    if text.chars().count() <= LONGEST_DETAIL {
        return text.to_owned();
    }
    text.chars().take(LONGEST_DETAIL).chain(['…']).collect()
}

/// A JSON pointer (RFC 6901) to the place. A field that is missing or there twice is pointed at, not its parent.
fn pointer(path: &serde_path_to_error::Path, error: &serde_json::Error) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let text = error.to_string();
    let at_parent = text.strip_prefix("missing field `").or_else(|| text.strip_prefix("duplicate field `"));
    if let Some(name) = at_parent.and_then(|rest| rest.split('`').next()) {
        push(&mut pointer, name);
    }
    pointer
}

fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// Where a JSON text holds a NUL character, if it does. A raw one is no JSON at all; this is about `\u0000`.
pub(in crate::http) fn nul_pointer(bytes: &[u8]) -> Option<String> {
    const ESCAPE: &[u8] = b"\\u0000";
    // Nearly always the answer: no backslash, no search.
    if !bytes.contains(&b'\\') || !bytes.windows(ESCAPE.len()).any(|window| window == ESCAPE) {
        return None;
    }
    // It may be an escaped backslash before "u0000": only the parsed text knows. What does not parse is told later.
    fn find(value: &Value, at: &mut String) -> bool {
        let length = at.len();
        let found = match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().enumerate().any(|(index, item)| {
                at.truncate(length);
                push(at, &index.to_string());
                find(item, at)
            }),
            Value::Object(members) => members.iter().any(|(key, item)| {
                at.truncate(length);
                if key.contains('\0') {
                    return true;
                }
                push(at, key);
                find(item, at)
            }),
            _ => false,
        };
        if !found {
            at.truncate(length);
        }
        found
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let mut pointer = String::new();
    find(&value, &mut pointer).then_some(pointer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Thing {
        name: String,
        lines: Vec<(u8, Option<Value>)>,
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a~/\\x00\\\\u0]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let names = prop_oneof![Just("name".to_owned()), Just("lines".to_owned()), "[a~/\\x00]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((names, inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn has_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(has_nul),
            Value::Object(members) => members.iter().any(|(key, item)| key.contains('\0') || has_nul(item)),
            _ => false,
        }
    }

    proptest! {
        /// Whatever comes in, the client is told that it is wrong, never that we are.
        #[test]
        fn hostile_bytes_are_the_clients_fault(bytes in any::<Vec<u8>>()) {
            if let Err(problem) = parse::<Thing>(&bytes) {
                prop_assert!(matches!(problem.status, 400 | 422));
            }
        }

        /// JSON is never called unparseable, and a pointer leads to a place that is there, or whose parent is.
        #[test]
        fn hostile_json_is_refused_with_a_pointer(value in any_json()) {
            let bytes = value.to_string().into_bytes();
            if let Err(problem) = parse::<Thing>(&bytes) {
                prop_assert_eq!(problem.status, 422);
                let pointer = &problem.errors[0].pointer;
                let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                prop_assert!(value.pointer(pointer).or_else(|| value.pointer(parent)).is_some(), "{} in {}", pointer, value);
            }
        }

        /// No NUL character gets through, and none is seen where there is none.
        #[test]
        fn nul_characters_are_found_exactly(value in any_json()) {
            let bytes = value.to_string().into_bytes();
            prop_assert_eq!(nul_pointer(&bytes).is_some(), has_nul(&value));
        }
    }

    #[test]
    fn an_escaped_backslash_is_no_nul() {
        let text = json!({"name": "\\u0000", "lines": []}).to_string();
        assert!(text.contains("\\\\u0000"));
        assert!(parse::<Thing>(text.as_bytes()).is_ok());
    }
}
