//! Refusals and failures in the provider's own words.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};

use crate::provider::wire::{Failure, FailureBody};

/// What a client of the simulator is told instead of an object.
#[derive(Debug, thiserror::Error)]
#[error("{status} {}", .body.message)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Box<FailureBody>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &str, code: Option<&str>, message: &str) -> Self {
        let body = FailureBody {
            r#type: kind.to_owned(),
            code: code.map(str::to_owned),
            decline_code: None,
            message: message.to_owned(),
            charge: None,
        };
        Self { status, body: Box::new(body) }
    }

    /// 400: not a request that this provider takes.
    pub fn invalid(code: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", Some(code), message)
    }

    /// 404: there is no such object.
    pub fn missing(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("resource_missing"), message)
    }

    /// 402: the card said no.
    pub fn declined(code: &str, message: &str, charge: &str) -> Self {
        let mut refusal =
            Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", Some("card_declined"), message);
        refusal.body.decline_code =
            Some(if code == "card_declined" { "generic_decline" } else { code }.to_owned());
        refusal.body.charge = Some(charge.to_owned());
        refusal
    }

    /// 400: the key was used with other parameters.
    pub fn key_reused() -> Self {
        let message = "Keys for idempotent requests can only be used with the same parameters.";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_error", None, message)
    }

    /// 500: our fault; whether it took effect is not said.
    pub fn broken() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", None, "Something went wrong on our side.")
    }

    /// 503: not now.
    pub fn down() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_error", None, "The provider is down.")
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(Failure { error: (*self.body).clone() })
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        if viscount_chassis::store::is_unavailable(&error) {
            tracing::warn!(%error, "the simulator's books cannot be reached");
            return Refusal::down();
        }
        tracing::error!(%error, "the simulator's books refused");
        Refusal::broken()
    }
}
