//! A group's place as a row in its own database: for an engine that is no server of its own.

use sqlx::PgPool;
use viscount_contracts::Topic;

use super::{BoxFuture, LogError, Member, Place};
use crate::store::is_unavailable;

/// A row of `consumer_offsets`.
pub(super) struct TablePlace {
    consumer: &'static str,
    topic: Topic,
    pool: PgPool,
}

impl TablePlace {
    pub(super) fn of(member: Member) -> Self {
        let Member { consumer, topic, pool } = member;
        Self { consumer, topic, pool }
    }

    /// Where the group stood.
    pub(super) async fn saved(&self) -> Result<i64, LogError> {
        let position =
            sqlx::query_scalar("select position from consumer_offsets where consumer = $1 and topic = $2")
                .bind(self.consumer)
                .bind(self.topic.name())
                .fetch_optional(&self.pool)
                .await
                .map_err(judged)?;
        Ok(position.unwrap_or(0))
    }

    /// A member that is behind does not turn the clock back.
    async fn keep(&self, position: i64) -> Result<(), LogError> {
        sqlx::query(
            "insert into consumer_offsets as o (consumer, topic, position) values ($1, $2, $3)
             on conflict (consumer, topic) do update set position = excluded.position where o.position < excluded.position",
        )
        .bind(self.consumer)
        .bind(self.topic.name())
        .bind(position)
        .execute(&self.pool)
        .await
        .map_err(judged)?;
        Ok(())
    }
}

impl Place for TablePlace {
    fn save<'a>(&'a self, done: &'a [(i32, i64)]) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            for (_, position) in done {
                self.keep(*position).await?;
            }
            Ok(())
        })
    }
}

fn judged(error: sqlx::Error) -> LogError {
    match is_unavailable(&error) {
        true => LogError::Unavailable(error.to_string()),
        false => LogError::Refused(error.to_string()),
    }
}
