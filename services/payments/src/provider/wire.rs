//! What goes over the wire to and from the provider: JSON in the style of Stripe's API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The header that makes a POST safe to repeat.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Texts of ours that the provider keeps with an object and gives back.
pub type Metadata = BTreeMap<String, String>;

/// Our names in [`Metadata`].
pub mod meta {
    /// The order that is charged.
    pub const ORDER: &str = "order_id";
    /// Who pays.
    pub const CUSTOMER: &str = "customer_id";
    /// The refund.
    pub const REFUND: &str = "refund_id";
}

/// `POST /v1/charges`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCharge {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The token for the means of payment.
    pub source: String,
    /// Take the money at once, not only reserve it.
    #[serde(default = "yes")]
    pub capture: bool,
    /// Kept and given back.
    #[serde(default)]
    pub metadata: Metadata,
}

fn yes() -> bool {
    true
}

/// `POST /v1/refunds`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    /// The id of the charge.
    pub charge: String,
    /// Minor units.
    pub amount: i64,
    /// Kept and given back.
    #[serde(default)]
    pub metadata: Metadata,
}

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Done.
    Succeeded,
    /// Not decided yet.
    Pending,
    /// Refused; nothing was moved.
    Failed,
}

/// A charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// `ch_…`
    pub id: String,
    /// `charge`
    pub object: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The token that was charged.
    pub source: String,
    /// Whether the money was taken, or only reserved.
    pub captured: bool,
    /// What became of it.
    pub status: Status,
    /// Minor units returned so far.
    pub amount_refunded: i64,
    /// Why it was refused, for programs.
    pub failure_code: Option<String>,
    /// Why it was refused, for people.
    pub failure_message: Option<String>,
    /// What it was asked under.
    pub idempotency_key: String,
    /// As it came.
    pub metadata: Metadata,
    /// Seconds since 1970.
    pub created: i64,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// `refund`
    pub object: String,
    /// The charge.
    pub charge: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// What became of it.
    pub status: Status,
    /// What it was asked under.
    pub idempotency_key: String,
    /// As it came.
    pub metadata: Metadata,
    /// Seconds since 1970.
    pub created: i64,
}

/// A list of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List<T> {
    /// `list`
    pub object: String,
    /// The objects.
    pub data: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
}

impl<T> List<T> {
    /// All of it.
    pub fn of(data: Vec<T>) -> Self {
        Self { object: "list".to_owned(), data, has_more: false }
    }
}

/// One line of `GET /v1/ledger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LedgerEntry {
    /// Money taken, or refused.
    Charge(Charge),
    /// Money returned.
    Refund(Refund),
}

/// A refusal or a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened.
    pub error: FailureBody,
}

/// The inside of a [`Failure`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureBody {
    /// `card_error`, `invalid_request_error`, `idempotency_error` or `api_error`.
    pub r#type: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// More exactly, for a card that was declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// The charge that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// `evt_…`, the same however often it is sent.
    pub id: String,
    /// `charge.succeeded`, `charge.failed` or `refund.succeeded`; there may be others that mean nothing to us.
    pub r#type: String,
    /// Seconds since 1970.
    pub created: i64,
    /// What it is about.
    pub data: WebhookData,
}

/// The inside of a [`WebhookEvent`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookData {
    /// A charge or a refund, by the event's type.
    pub object: serde_json::Value,
}
