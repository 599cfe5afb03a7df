//! Durable deadlines: which unanswered questions are due, and when they are due again.

use std::time::Duration;

use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_contracts::{OrderId, RefundId};

use crate::domain::CallId;

/// One question that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Whose payment it belongs to.
    pub order: OrderId,
    /// Which question.
    pub call: CallId,
}

/// Takes up to `limit` due questions, the longest due first, and sets when each is due again: after 1, 2, 4, … seconds,
/// 60 at the most, give or take a fifth. So a question is never lost when its asker dies, and two replicas do not ask
/// the same one at the same time.
pub async fn take_due(pool: &PgPool, limit: i64) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query(
        "update open_calls c
         set attempts = c.attempts + 1,
             due_at = now() + interval '1 second' * least(60, 2 ^ least(c.attempts, 6)) * (0.8 + random() * 0.4)
         from (
             select call_key from open_calls where due_at <= now() order by due_at limit $1 for update skip locked
         ) as due
         where c.call_key = due.call_key
         returning c.call_key, c.order_id, c.kind",
    )
    .bind(limit)
    .try_map(|row: PgRow| {
        let key: Uuid = row.try_get(0)?;
        let kind: String = row.try_get(2)?;
        let call = if kind == "refund" { CallId::Refund(RefundId::from(key)) } else { CallId::Charge };
        Ok(Due { order: OrderId::from(row.try_get::<Uuid, _>(1)?), call })
    })
    .fetch_all(pool)
    .await
}

/// How many questions are open, and for how long the oldest has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// All of them.
    pub open: i64,
    /// The age of the oldest; zero when there is none.
    pub oldest: Duration,
}

/// Looks at what is open.
pub async fn backlog(pool: &PgPool) -> Result<Backlog, sqlx::Error> {
    let row = sqlx::query(
        "select count(*), coalesce(extract(epoch from now() - min(opened_at)), 0)::float8 from open_calls",
    )
    .fetch_one(pool)
    .await?;
    Ok(Backlog {
        open: row.try_get(0)?,
        oldest: Duration::try_from_secs_f64(row.try_get(1)?).unwrap_or_default(),
    })
}
