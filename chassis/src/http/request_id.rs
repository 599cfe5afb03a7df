//! The id of one request, on every answer and in every access line.

use actix_web::http::header::HeaderValue;
use uuid::Uuid;

/// The header field, in lower case as HTTP libraries keep it.
pub const X_REQUEST_ID: &str = "x-request-id";

/// The id of one request: the client's own when it is sane, else a new UUIDv7. In the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    pub(super) fn of(header: Option<&HeaderValue>) -> Self {
        header
            .map(HeaderValue::as_bytes)
            .filter(|bytes| (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .map_or_else(|| RequestId(Uuid::now_v7().to_string()), |text| RequestId(text.to_owned()))
    }

    /// The id as text, 1 to 128 visible ASCII characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
