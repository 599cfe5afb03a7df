//! Letters of both sorts, side by side.

use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Filter, Letter, State, UnreadableMessage, find, read, redrive, unreadable};

/// Either sort.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum DeadLetter {
    /// An event that was given up, or waits behind one.
    Event(Letter),
    /// A message in which no event was found. Its `kind` is `unreadable`.
    Unreadable(UnreadableMessage),
}

impl DeadLetter {
    /// The event's id, or the message's.
    pub fn id(&self) -> Uuid {
        match self {
            DeadLetter::Event(letter) => letter.id,
            DeadLetter::Unreadable(message) => message.id,
        }
    }

    /// Who could not handle it.
    pub fn consumer(&self) -> &str {
        match self {
            DeadLetter::Event(letter) => &letter.consumer,
            DeadLetter::Unreadable(message) => &message.consumer,
        }
    }

    /// What becomes of it.
    pub fn state(&self) -> State {
        match self {
            DeadLetter::Event(letter) => letter.state,
            DeadLetter::Unreadable(message) => message.state,
        }
    }

    /// Notes what becomes of it.
    pub(crate) fn set_state(&mut self, state: State) {
        match self {
            DeadLetter::Event(letter) => letter.state = state,
            DeadLetter::Unreadable(message) => message.state = state,
        }
    }

    /// The first of its key, when this one waits behind it.
    pub fn behind(&self) -> Option<Uuid> {
        match self {
            DeadLetter::Event(letter) => letter.behind,
            DeadLetter::Unreadable(_) => None,
        }
    }
}

/// At most `limit` letters of both sorts (not what is parked behind them), oldest event or message first.
pub async fn list_all(pool: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let events = read(pool, filter, false, limit).await?.into_iter().map(DeadLetter::Event);
    let messages = unreadable::list(pool, filter, limit).await?.into_iter().map(DeadLetter::Unreadable);
    let mut letters: Vec<_> = events.chain(messages).collect();
    letters.sort_by(|a, b| (a.id(), a.consumer()).cmp(&(b.id(), b.consumer())));
    letters.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(letters)
}

/// One letter of either sort, or a parked event, of each consumer that has it.
pub async fn find_any(pool: &PgPool, id: Uuid) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    let messages = unreadable::list(pool, &filter, 100).await?;
    let events = find(pool, id).await?.into_iter().map(DeadLetter::Event);
    Ok(events.chain(messages.into_iter().map(DeadLetter::Unreadable)).collect())
}

/// Asks for another try of a letter: of an event as [`redrive`] does. A message that could not be read is read once more;
/// when there is an event in it by now, it goes the same way.
pub async fn redrive_any(pool: &PgPool, letter: &DeadLetter) -> Result<bool, sqlx::Error> {
    match letter {
        DeadLetter::Event(letter) => redrive(pool, letter).await,
        DeadLetter::Unreadable(message) => unreadable::redrive(pool, message).await,
    }
}

/// Gives a letter up for good: it is gone, and what is parked behind it follows by itself, in order. False when the letter
/// is gone, is parked, or is on its way back.
pub async fn discard(pool: &PgPool, letter: &DeadLetter) -> Result<bool, sqlx::Error> {
    let sql = match letter {
        DeadLetter::Event(_) => {
            "delete from dead_letters where consumer = $1 and event_id = $2 and state = 'dead'"
        }
        DeadLetter::Unreadable(_) => {
            "delete from unreadable_messages where consumer = $1 and id = $2 and state = 'dead'"
        }
    };
    let gone = sqlx::query(sql).bind(letter.consumer()).bind(letter.id()).execute(pool).await?;
    Ok(gone.rows_affected() > 0)
}
