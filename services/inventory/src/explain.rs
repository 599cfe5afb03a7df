//! What inventory knows of an order, for those who ask why it does not go on.

use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_chassis::explain::Note;

/// The reservation's state.
pub async fn notes(pool: PgPool, key: Uuid) -> Result<Vec<Note>, sqlx::Error> {
    let found = sqlx::query("select state, updated_at, expires_at from reservations where id = $1")
        .bind(key)
        .try_map(|row: PgRow| {
            let note = Note::new("reservation", row.try_get::<String, _>("state")?)
                .since(row.try_get::<SqlTimestamp, _>("updated_at")?.to_jiff());
            Ok(match row.try_get::<Option<SqlTimestamp>, _>("expires_at")? {
                Some(until) => note.until(until.to_jiff()),
                None => note,
            })
        });
    Ok(found.fetch_optional(&pool).await?.into_iter().collect())
}
