//! Which letters are not on their topic yet.

use sqlx::PgPool;

use super::{DeadLetter, Letter, UnreadableMessage};

/// At most `limit` letters of each sort that are not published as they are now, oldest first.
pub(crate) async fn unpublished(pool: &PgPool, limit: usize) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let events = sqlx::query(
        "select *, errors::text as errors_text, 0::bigint as parked, null::uuid as behind from dead_letters
         where published_at is null and state = 'dead' order by recorded_at limit $1",
    );
    let events = events.bind(limit).try_map(|row| Letter::read(&row)).fetch_all(pool).await?;
    let messages = sqlx::query(
        "select *, headers::text as headers_text, errors::text as errors_text from unreadable_messages
         where published_at is null and state = 'dead' order by recorded_at limit $1",
    );
    let messages = messages.bind(limit).try_map(|row| UnreadableMessage::read(&row)).fetch_all(pool).await?;
    let events = events.into_iter().map(DeadLetter::Event);
    Ok(events.chain(messages.into_iter().map(DeadLetter::Unreadable)).collect())
}

/// Notes that this letter is published. One that has failed again meanwhile is to be published again.
pub(crate) async fn note_published(pool: &PgPool, letter: &DeadLetter) -> Result<(), sqlx::Error> {
    let (sql, attempts) = match letter {
        DeadLetter::Event(letter) => (
            "update dead_letters set published_at = now()
             where consumer = $1 and event_id = $2 and attempts = $3",
            letter.attempts,
        ),
        DeadLetter::Unreadable(message) => (
            "update unreadable_messages set published_at = now()
             where consumer = $1 and id = $2 and attempts = $3",
            message.attempts,
        ),
    };
    let noted = sqlx::query(sql).bind(letter.consumer()).bind(letter.id()).bind(attempts);
    noted.execute(pool).await.map(drop)
}
