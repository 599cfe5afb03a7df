//! What payments knows of an order, for those who ask why it does not go on.

use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_chassis::explain::Note;

/// The payment's state, and every question to the provider whose answer is not known.
pub async fn notes(pool: PgPool, key: Uuid) -> Result<Vec<Note>, sqlx::Error> {
    let state = sqlx::query("select status, updated_at from payments where order_id = $1").bind(key);
    let state = state.try_map(|row: PgRow| {
        let since = row.try_get::<SqlTimestamp, _>("updated_at")?.to_jiff();
        Ok(Note::new("payment", row.try_get::<String, _>("status")?).since(since))
    });
    let open = sqlx::query(
        "select kind, attempts, opened_at, due_at from open_calls where order_id = $1 order by opened_at limit 20",
    );
    let open = open.bind(key).try_map(|row: PgRow| {
        let (kind, again): (String, i32) = (row.try_get("kind")?, row.try_get("attempts")?);
        let detail = format!("what became of the {kind} is not known; asked again {again} times so far");
        Ok(Note::new("provider_unknown_outcome", detail)
            .since(row.try_get::<SqlTimestamp, _>("opened_at")?.to_jiff())
            .until(row.try_get::<SqlTimestamp, _>("due_at")?.to_jiff()))
    });
    let mut notes: Vec<Note> = state.fetch_optional(&pool).await?.into_iter().collect();
    notes.extend(open.fetch_all(&pool).await?);
    Ok(notes)
}
