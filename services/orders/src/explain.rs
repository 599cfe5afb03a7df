//! What orders knows of an order, for those who ask why it does not go on.

use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;
use viscount_chassis::explain::Note;

use crate::{
    actors::Deadlines,
    domain::{Fulfilment, Policy, Status},
    store::Orders,
};

/// Its status, since when and until when; and whether somebody outside has to act.
pub async fn notes(
    pool: PgPool,
    key: Uuid,
    deadlines: Deadlines,
    policy: Policy,
) -> Result<Vec<Note>, sqlx::Error> {
    let Some(order) = Orders::new(pool).find(key.into()).await? else { return Ok(Vec::new()) };
    let (status, since) = (order.view.status, order.view.updated_at);
    let patience = match status {
        Status::Created => Some(deadlines.stock),
        Status::Validated => Some(deadlines.payment),
        _ => None,
    };
    let due = patience.and_then(|patience| after(since, patience));
    let note = Note::new("order", status.name()).since(since);
    let mut notes = vec![match due {
        Some(due) => note.until(due),
        None => note,
    }];
    if status == Status::Paid && policy.fulfilment == Fulfilment::External {
        let detail = "the order is paid; whoever fulfils orders has to say that it is complete";
        notes.push(Note::new("external_fulfilment", detail).since(since));
    }
    Ok(notes)
}

fn after(since: Timestamp, patience: std::time::Duration) -> Option<Timestamp> {
    since.checked_add(SignedDuration::try_from(patience).ok()?).ok()
}
