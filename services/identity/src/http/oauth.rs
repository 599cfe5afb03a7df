//! The manners of OAuth 2.0 endpoints: form bodies, client authentication, and errors in the shape of RFC 6749 §5.2
//! instead of problem documents. What is our own fault (503, 500) stays a problem: the RFC has no words for it.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    error::UrlencodedError,
    http::{StatusCode, header},
    web::FormConfig,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use utoipa::ToSchema;
use viscount_chassis::problem::Problem;

use crate::error::IdentityError;

/// The largest form; tokens and secrets are small.
const FORM_LIMIT: usize = 16 * 1024;

/// Why an OAuth endpoint refuses.
#[derive(Debug)]
pub enum OAuthError {
    /// A parameter is missing, repeated or unreadable.
    InvalidRequest(&'static str),
    /// The body is larger than any request could be.
    TooLarge,
    /// The client is unknown or did not prove itself.
    InvalidClient,
    /// The refresh token is not good.
    InvalidGrant,
    /// A grant that we do not offer.
    UnsupportedGrantType,
    /// A kind of token that cannot be revoked.
    UnsupportedTokenType,
    /// Not the client's fault.
    Other(Problem),
}

/// An error of the token endpoint (RFC 6749 §5.2).
#[derive(Serialize, ToSchema)]
pub struct OAuthBody {
    /// A code of the RFC.
    #[schema(value_type = String, example = "invalid_grant")]
    error: &'static str,
    /// For the developer of the client.
    #[schema(value_type = String)]
    error_description: &'static str,
}

impl OAuthError {
    /// The RFC's code, also the metric's label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) | Self::TooLarge => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::Other(_) => "failed",
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Self::InvalidRequest(description) => description,
            Self::TooLarge => "the form is too large",
            Self::InvalidClient => "the client is unknown or its secret is wrong",
            Self::InvalidGrant => "the refresh token is unknown, expired, revoked or was used before",
            Self::UnsupportedGrantType => "offered are client_credentials and refresh_token",
            Self::UnsupportedTokenType => {
                "access tokens cannot be revoked, they expire; revoke the refresh token"
            }
            Self::Other(_) => "",
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl ResponseError for OAuthError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Other(problem) => ResponseError::status_code(problem),
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Other(problem) = self {
            return problem.error_response();
        }
        let mut answer = HttpResponse::build(ResponseError::status_code(self));
        answer.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
        if matches!(self, Self::InvalidClient) {
            answer.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"oauth2\", charset=\"UTF-8\""));
        }
        answer.json(OAuthBody { error: self.code(), error_description: self.description() })
    }
}

impl From<IdentityError> for OAuthError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::InvalidGrant => Self::InvalidGrant,
            IdentityError::InvalidClient => Self::InvalidClient,
            other => Self::Other(other.into()),
        }
    }
}

impl From<UrlencodedError> for OAuthError {
    fn from(error: UrlencodedError) -> Self {
        match error {
            UrlencodedError::Overflow { .. } => Self::TooLarge,
            UrlencodedError::ContentType => {
                Self::InvalidRequest("send the form as application/x-www-form-urlencoded")
            }
            _ => Self::InvalidRequest("the form cannot be read; a parameter may be repeated"),
        }
    }
}

/// Makes actix's form extractor refuse in the RFC's shape.
pub fn form_config() -> FormConfig {
    FormConfig::default().limit(FORM_LIMIT).error_handler(|error, _| OAuthError::from(error).into())
}

/// A parameter without a value counts as left out (RFC 6749 §3.1).
pub fn given(parameter: Option<String>) -> Option<String> {
    parameter.filter(|value| !value.is_empty())
}

/// Who a client says it is: in the `Authorization` header or in the form, never both (RFC 6749 §2.3).
pub fn client_of(
    request: &HttpRequest,
    id: Option<String>,
    secret: Option<String>,
) -> Result<Option<(String, String)>, OAuthError> {
    // A stale bearer token, which some clients send with everything, is no client authentication.
    let mut claims =
        request.headers().get_all(header::AUTHORIZATION).filter_map(|value| basic_part(value.as_bytes()));
    let Some(claim) = claims.next() else {
        // A name alone proves nothing and is no claim to be somebody: public clients send it.
        return Ok(secret.and_then(|secret| Some((id?, secret))));
    };
    if claims.next().is_some() || secret.is_some() {
        return Err(OAuthError::InvalidRequest("the client authenticates in more than one way"));
    }
    basic(claim).map(Some).ok_or(OAuthError::InvalidClient)
}

/// What follows the scheme `Basic`; `None` for other schemes.
fn basic_part(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("basic".len())?;
    let ours = scheme.eq_ignore_ascii_case(b"basic") && rest.first().is_none_or(|byte| *byte == b' ');
    ours.then(|| rest.trim_ascii())
}

/// `base64(id:secret)`, both form-encoded (RFC 6749 §2.3.1).
fn basic(credentials: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) =
                    (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn asked(
        authorization: &str,
        id: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Option<(String, String)>, OAuthError> {
        let mut request = TestRequest::default();
        if !authorization.is_empty() {
            request = request.insert_header((header::AUTHORIZATION, authorization));
        }
        client_of(&request.to_http_request(), id.map(Into::into), secret.map(Into::into))
    }

    fn pair(id: &str, secret: &str) -> Option<(String, String)> {
        Some((id.to_owned(), secret.to_owned()))
    }

    #[test]
    fn a_client_authenticates_in_the_header_or_in_the_form() {
        let basic = format!("Basic {}", STANDARD.encode("my%2Bclient:s%3Acret+2"));
        assert_eq!(asked(&basic, None, None).unwrap(), pair("my+client", "s:cret 2"));
        assert_eq!(asked(&basic, Some("my+client"), None).unwrap(), pair("my+client", "s:cret 2"));
        assert_eq!(asked("", Some("a"), Some("b")).unwrap(), pair("a", "b"));
        assert_eq!(asked("", Some("a"), None).unwrap(), None);
        assert_eq!(asked("", None, None).unwrap(), None);
    }

    #[test]
    fn two_ways_at_once_are_one_too_many() {
        let basic = format!("basic {}", STANDARD.encode("a:b"));
        assert!(matches!(asked(&basic, Some("a"), Some("b")), Err(OAuthError::InvalidRequest(_))));
    }

    #[test]
    fn broken_credentials_are_no_client() {
        for header in ["Basic", "Basic ", "Basic !!!", "Basic YWI=", "Basic JTpi", "BASIC YWI="] {
            assert!(matches!(asked(header, None, None), Err(OAuthError::InvalidClient)), "{header}");
        }
    }

    #[test]
    fn other_schemes_say_nothing_about_the_client() {
        for header in ["Bearer abc", "Basically YTpi", "B", "Digest x"] {
            assert_eq!(asked(header, None, None).unwrap(), None, "{header}");
            assert_eq!(asked(header, Some("a"), Some("b")).unwrap(), pair("a", "b"), "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_encoded_text_reads_back(text in any::<String>()) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(form_decoded(&encoded).unwrap(), text);
        }

        #[test]
        fn no_header_makes_the_reader_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            let _ = (basic_part(&bytes), basic(&bytes), form_decoded(&text));
            let _ = basic(STANDARD.encode(&bytes).as_bytes());
        }
    }
}
