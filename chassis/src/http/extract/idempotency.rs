//! `Idempotency-Key`: the client's name for one intention, so that a repeat has its effect once.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::problem::Problem;

const NAME: &str = "Idempotency-Key";
const MAX_LENGTH: usize = 255;

/// Extractor for `Idempotency-Key`, required: 400 when missing or not 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as the client wrote it.
    pub fn into_inner(self) -> String {
        self.0
    }

    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let mut fields = request.headers().get_all(NAME);
        let field = fields.next().ok_or_else(|| Problem::missing_header(NAME))?;
        let refused = || {
            Problem::bad_request(format!(
                "{NAME} must be one value of 1 to {MAX_LENGTH} visible ASCII characters"
            ))
        };
        if fields.next().is_some() {
            return Err(refused());
        }
        let bytes = field.as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_LENGTH || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(refused());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused())?;
        Ok(IdempotencyKey(text.to_owned()))
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(IdempotencyKey::read(request))
    }
}
