//! How a request is found again: its id, and the trace it belongs to.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Builder;
use viscount_chassis::telemetry::TraceContext;

/// `X-Request-Id`.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The ids of one request.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    pub(crate) request_id: HeaderValue,
    pub(crate) trace: TraceContext,
}

impl Trail {
    /// Takes the client's request id where it is sane, else makes a new one.
    pub(crate) fn new(headers: &HeaderMap, trace: TraceContext) -> Self {
        let request_id = single(headers, &X_REQUEST_ID).filter(|id| is_sane_id(id)).cloned();
        Trail { request_id: request_id.unwrap_or_else(new_request_id), trace }
    }

    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    pub(crate) fn trace_id(&self) -> String {
        self.trace.trace_id()
    }

    /// The header for the next hop.
    pub(crate) fn traceparent(&self) -> Option<HeaderValue> {
        traceparent(self.trace)
    }
}

/// As a header.
pub(crate) fn traceparent(trace: TraceContext) -> Option<HeaderValue> {
    HeaderValue::try_from(trace.to_string()).ok()
}

/// The client's `traceparent`, when there is one and only one.
pub(crate) fn incoming_traceparent(headers: &HeaderMap) -> Option<&str> {
    single(headers, &TRACEPARENT).and_then(|value| value.to_str().ok())
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// 1 to 128 visible ASCII characters: anything else could forge log lines or swell them.
fn is_sane_id(id: &HeaderValue) -> bool {
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// A UUIDv7. Not `Uuid::now_v7`, which asks the kernel for randomness each time.
pub(crate) fn new_request_id() -> HeaderValue {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let id =
        Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &rand::random::<[u8; 10]>());
    let mut text = [0; 36];
    id.into_uuid().hyphenated().encode_lower(&mut text);
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn request_id(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        Trail::new(&headers, TraceContext::new_root()).request_id().to_owned()
    }

    #[test]
    fn a_sane_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(request_id(&[b"abc-1"]), "abc-1");
        let long = [b'x'; 129];
        let bad: [&[&[u8]]; 7] = [&[], &[b""], &[b"a b"], &[b"a\tb"], &[b"\xe9"], &[&long], &[b"a", b"b"]];
        for values in bad {
            let id = request_id(values).parse::<uuid::Uuid>().unwrap();
            assert_eq!(id.get_version_num(), 7);
        }
    }
}
