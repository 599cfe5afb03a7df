//! What the HTTP side shows of a payment.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_contracts::{Currency, Money, OrderId, PaymentId, RefundId, UserId};

/// A payment as its row has it.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentRow {
    /// Its id, the order's own.
    pub order: OrderId,
    /// Who pays.
    pub customer: Option<UserId>,
    /// `expected`, `voided`, `pending`, `captured` or `failed`.
    pub status: String,
    /// How many events have made it.
    pub version: i32,
    /// What was asked for.
    pub amount: Option<Money>,
    /// What was taken, in minor units.
    pub captured: i64,
    /// What was returned, in minor units.
    pub refunded: i64,
    /// The provider's name for the charge.
    pub reference: Option<String>,
    /// Why the provider refused: code and text.
    pub failure: Option<(String, String)>,
    /// When it was first heard of.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its refunds, oldest first.
    pub refunds: Vec<RefundRow>,
}

/// A refund as its row has it.
#[derive(Debug, Clone, PartialEq)]
pub struct RefundRow {
    /// Its id.
    pub id: RefundId,
    /// `open`, `done` or `failed`.
    pub state: String,
    /// How much.
    pub amount: Money,
    /// The provider's name for it.
    pub reference: Option<String>,
    /// Why it was refused: code and text.
    pub failure: Option<(String, String)>,
    /// When it was first heard of.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The payment of an order, as far as it is known.
pub async fn payment_of(pool: &PgPool, order: OrderId) -> Result<Option<PaymentRow>, sqlx::Error> {
    let payment = sqlx::query(
        "select customer_id, status, version, amount, currency, captured, refunded, provider_reference, failure_code,
             failure_detail, created_at, updated_at
         from payments where order_id = $1",
    )
    .bind(order.uuid())
    .try_map(|row: PgRow| {
        let amount: Option<i64> = row.try_get("amount")?;
        let currency: Option<String> = row.try_get("currency")?;
        Ok(PaymentRow {
            order,
            customer: row.try_get::<Option<Uuid>, _>("customer_id")?.map(UserId::from),
            status: row.try_get("status")?,
            version: row.try_get("version")?,
            amount: amount.zip(currency).map(|(amount, currency)| money(amount, currency)).transpose()?,
            captured: row.try_get("captured")?,
            refunded: row.try_get("refunded")?,
            reference: row.try_get("provider_reference")?,
            failure: failure(&row)?,
            created_at: time(&row, "created_at")?,
            updated_at: time(&row, "updated_at")?,
            refunds: Vec::new(),
        })
    })
    .fetch_optional(pool)
    .await?;
    let Some(mut payment) = payment else { return Ok(None) };
    payment.refunds = refunds_of(pool, order).await?;
    Ok(Some(payment))
}

async fn refunds_of(pool: &PgPool, order: OrderId) -> Result<Vec<RefundRow>, sqlx::Error> {
    sqlx::query(
        "select refund_id, state, amount, currency, provider_reference, failure_code, failure_detail, created_at,
             updated_at
         from refunds where order_id = $1 order by created_at, refund_id",
    )
    .bind(order.uuid())
    .try_map(|row: PgRow| {
        Ok(RefundRow {
            id: RefundId::from(row.try_get::<Uuid, _>("refund_id")?),
            state: row.try_get("state")?,
            amount: money(row.try_get("amount")?, row.try_get("currency")?)?,
            reference: row.try_get("provider_reference")?,
            failure: failure(&row)?,
            created_at: time(&row, "created_at")?,
            updated_at: time(&row, "updated_at")?,
        })
    })
    .fetch_all(pool)
    .await
}

/// The order whose payment has this id: a payment carries its order's own.
pub fn order_of(payment: PaymentId) -> OrderId {
    OrderId::from(payment.uuid())
}

/// True when this webhook has had its effect.
pub async fn webhook_is_known(pool: &PgPool, provider: &str, event: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from webhook_events where provider = $1 and event_id = $2)")
        .bind(provider)
        .bind(event)
        .fetch_one(pool)
        .await
}

fn money(amount: i64, currency: String) -> Result<Money, sqlx::Error> {
    let currency: Currency = currency.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Money::new(amount, currency))
}

fn failure(row: &PgRow) -> Result<Option<(String, String)>, sqlx::Error> {
    let code: Option<String> = row.try_get("failure_code")?;
    let detail: Option<String> = row.try_get("failure_detail")?;
    Ok(code.map(|code| (code, detail.unwrap_or_default())))
}

fn time(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get::<SqlTimestamp, _>(column).map(SqlTimestamp::to_jiff)
}
