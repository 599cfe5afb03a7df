//! The other half of the desk: ending reservations. Needs no actor: what is freed is written first, then put back on
//! the shelves that are in memory.

use std::sync::Arc;

use jiff::Timestamp;
use viscount_chassis::store::Entry;
use viscount_contracts::ReservationId;

use super::desk::{Again, Cause, Desk, DeskError, entry, verdict};
use crate::{
    domain::{End, Ending, Movement, Reason, Reservation, State, end},
    metrics,
    store::{self, Change, Row},
};

/// How often an end is decided anew when others are faster.
const TRIES: u32 = 16;

/// What became of an end.
#[derive(Debug, Clone)]
pub enum Ended {
    /// It has ended, now or before.
    Done(Arc<Reservation>),
    /// It has ended the other way before.
    TooLate(State),
    /// It belongs to an order, and only the order's events end it.
    OfOrder,
}

impl Desk {
    /// Ends a reservation, once. `by_order` says that the order speaks, or the clock.
    pub async fn end(
        &self,
        id: ReservationId,
        how: End,
        by_order: bool,
        cause: Cause,
    ) -> Result<Ended, DeskError> {
        let mut known = match self.recent.get(&id) {
            Some(known) => Some(known),
            None => self.look_up(id).await?,
        };
        for _ in 0..TRIES {
            if known.as_ref().is_some_and(|known| known.of_order) && !by_order {
                return Ok(Ended::OfOrder);
            }
            let (after, entry) = match (end(known.as_ref().map(|known| known.state), how), &known) {
                (Ending::Settle(to), Some(known)) => settled(known, to, how, &cause),
                (Ending::Done, Some(known)) => return Ok(Ended::Done(known.clone())),
                (Ending::TooLate, Some(known)) => return Ok(Ended::TooLate(known.state)),
                (Ending::Note(state), _) => noted(id, by_order, state, &cause),
                // The core says these of reservations alone that are known.
                (Ending::Settle(_) | Ending::Done | Ending::TooLate, None) => break,
            };
            match verdict(self.committer.commit(entry).await.map(drop)) {
                Ok(()) => {
                    if matches!(how, End::Release(_)) {
                        self.shelves.freed(&after.portions);
                    }
                    let after = Arc::new(after);
                    self.recent.insert(id, after.clone());
                    metrics::ended(after.state.name());
                    return Ok(Ended::Done(after));
                }
                Err(Again::Look(why)) => {
                    metrics::again(why);
                    known = self.look_up(id).await?;
                }
                Err(Again::GiveUp(error)) => return Err(error),
            }
        }
        Err(DeskError::TimedOut)
    }
}

fn settled(known: &Reservation, to: State, how: End, cause: &Cause) -> (Reservation, Entry<Change>) {
    let now = Timestamp::now();
    let after = Reservation { state: to, version: known.version + 1, ..known.clone() };
    let (event, movements): (_, Vec<Movement>) = match how {
        End::Release(reason) => {
            (store::released(&after, reason, now), Movement::release(after.id, &after.portions).collect())
        }
        End::Sell => (store::deducted(&after, now), Movement::sell(after.id, &after.portions).collect()),
    };
    let step = Row::Step { id: after.id, from: known.state, to, version: after.version };
    let projection = Change { reservation: Some(step), movements, ..Change::default() };
    (after, entry(vec![event], cause, projection))
}

/// Evidence of an end whose beginning is still to come. Nothing is told: nothing was held.
fn noted(id: ReservationId, of_order: bool, state: State, cause: &Cause) -> (Reservation, Entry<Change>) {
    let after = Reservation {
        id,
        of_order,
        state,
        version: 0,
        portions: Vec::new(),
        short: Vec::new(),
        expires_at: None,
    };
    let open = Row::Open { id, of_order, state, version: 0, expires_at: None };
    let projection = Change { reservation: Some(open), ..Change::default() };
    (after, entry(Vec::new(), cause, projection))
}

impl From<Reason> for End {
    fn from(reason: Reason) -> Self {
        End::Release(reason)
    }
}
