//! A payment as a client sees it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use viscount_contracts::Money;

use crate::{
    provider,
    store::reads::{PaymentRow, RefundRow},
};

/// An amount of money in minor units.
// For the document alone, and there the same as in the other services.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money)]
#[allow(dead_code, reason = "describes contracts' Money")]
pub struct MoneySchema {
    /// Minor units, such as pence.
    #[schema(example = 1999)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP")]
    currency: String,
}

/// Why the provider refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureView {
    /// For programs: `card_declined`, `insufficient_funds`, …
    code: String,
    /// For people.
    detail: String,
}

/// Money reserved on, or taken from, the means of payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// `pending`, `succeeded` or `failed`.
    state: &'static str,
    /// How much.
    #[schema(value_type = MoneySchema)]
    amount: Money,
    /// The provider's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_reference: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
}

/// One act of returning money.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundView {
    /// Its id.
    id: Uuid,
    /// `pending`, `succeeded` or `failed`.
    state: &'static str,
    /// How much.
    #[schema(value_type = MoneySchema)]
    amount: Money,
    /// The provider's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_reference: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The payment of one order.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentView {
    /// Its id.
    id: Uuid,
    /// The order that is paid.
    order_id: Uuid,
    /// Who pays; null for an order that was cancelled before it was to be paid.
    customer_id: Option<Uuid>,
    /// `expected`, `voided`, `pending` (the provider's answer is not known yet), `captured`, `partially_refunded`,
    /// `refunded` or `failed`.
    status: &'static str,
    /// The version of the payment.
    version: i32,
    /// Where the money is.
    provider: &'static str,
    /// What was asked for; null while nobody asked.
    #[schema(value_type = Option<MoneySchema>)]
    amount: Option<Money>,
    /// What was taken.
    #[schema(value_type = Option<MoneySchema>)]
    captured: Option<Money>,
    /// What was returned.
    #[schema(value_type = Option<MoneySchema>)]
    refunded: Option<Money>,
    /// Money reserved; authorisation and capture are one call.
    authorisations: Vec<StepView>,
    /// Money taken.
    captures: Vec<StepView>,
    /// Money returned, oldest first.
    refunds: Vec<RefundView>,
    /// When it was first heard of.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<PaymentRow> for PaymentView {
    fn from(row: PaymentRow) -> Self {
        let sum = |amount: i64| row.amount.map(|asked| Money::new(amount, asked.currency()));
        let step = |state: &'static str| -> Option<StepView> {
            Some(StepView {
                state,
                amount: row.amount?,
                provider_reference: row.reference.clone(),
                failure: failure(row.failure.clone()),
            })
        };
        let authorised = match row.status.as_str() {
            "pending" => step("pending"),
            "captured" => step("succeeded"),
            "failed" => step("failed"),
            _ => None,
        };
        let captured = (row.status == "captured").then(|| step("succeeded")).flatten();
        Self {
            id: row.order.uuid(),
            order_id: row.order.uuid(),
            customer_id: row.customer.map(|id| id.uuid()),
            status: status(&row),
            version: row.version,
            provider: provider::NAME,
            amount: row.amount,
            captured: sum(row.captured),
            refunded: sum(row.refunded),
            authorisations: authorised.into_iter().collect(),
            captures: captured.into_iter().collect(),
            refunds: row.refunds.into_iter().map(RefundView::from).collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl From<RefundRow> for RefundView {
    fn from(row: RefundRow) -> Self {
        let state = match row.state.as_str() {
            "done" => "succeeded",
            "failed" => "failed",
            _ => "pending",
        };
        Self {
            id: row.id.uuid(),
            state,
            amount: row.amount,
            provider_reference: row.reference,
            failure: failure(row.failure),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn status(row: &PaymentRow) -> &'static str {
    match row.status.as_str() {
        "captured" if row.refunded == 0 => "captured",
        "captured" if row.refunded < row.captured => "partially_refunded",
        "captured" => "refunded",
        "pending" => "pending",
        "failed" => "failed",
        "voided" => "voided",
        _ => "expected",
    }
}

fn failure(failure: Option<(String, String)>) -> Option<FailureView> {
    failure.map(|(code, detail)| FailureView { code, detail })
}
