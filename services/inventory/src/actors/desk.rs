//! The desk: makes one reservation out of several products, all or none.
//!
//! It asks the products' actors one after the other, in ascending order, to put pieces aside. When all have, one entry
//! is committed (reservation, lines, ledger, event, inbox), and the holds are confirmed; else they come back. What is
//! decided is decided in the database: a reservation that another replica knows already, or stock that another replica
//! took, makes the desk look and decide again, and never shows as an error.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::Instant;
use viscount_actors::{AskError, Router};
use viscount_chassis::{
    failpoint::defect,
    store::{CommitError, Committer, Entry, EventStore},
};
use viscount_contracts::{EventId, ReservationId};

use super::{
    shelf::{Hold, Shelves},
    stock::{Answer, Ask, StockActor, Wish},
};
use crate::{
    domain::{Asking, Lines, Movement, Portion, Reservation, ShortLine, State, ask},
    metrics,
    store::{self, Change, Loader, NotLoaded, Row},
};

/// How often a reservation is decided anew when others are faster.
const TRIES: u32 = 64;
/// How long a reservation is tried at most.
const PATIENCE: Duration = Duration::from_secs(9);
/// Reservations kept in mind: an order is usually completed or cancelled soon after it was reserved.
const REMEMBERED: u64 = 50_000;
/// For how long.
const REMEMBER_FOR: Duration = Duration::from_secs(600);

/// A reservation to make.
#[derive(Debug, Clone)]
pub struct Booking {
    /// Which.
    pub id: ReservationId,
    /// It belongs to an order.
    pub of_order: bool,
    /// What it wants.
    pub lines: Lines,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// What made somebody ask.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// The event, if it was one.
    pub event: Option<EventId>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// What became of a booking.
#[derive(Debug, Clone)]
pub enum Booked {
    /// Every line is held, now or since an earlier asking; or the reservation has ended meanwhile: see its state.
    Known(Arc<Reservation>),
    /// There was not enough, now or at an earlier asking.
    Rejected(Arc<Reservation>),
}

/// Why nothing could be decided. It may be asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// Too much is waiting; nothing was done.
    #[error("too much is waiting")]
    Overloaded,
    /// The database, or an actor, could not be asked.
    #[error("not available: {0}")]
    Unavailable(String),
    /// The actor of a product fell too often and waits to be released; nothing was done.
    #[error("{}", AskError::quarantined(kind, id))]
    Quarantined {
        /// The kind of actor.
        kind: &'static str,
        /// The product.
        id: String,
    },
    /// It took too long.
    #[error("not decided in time")]
    TimedOut,
    /// The event that caused it has had its effect before.
    #[error("this event was handled before")]
    Handled,
}

impl From<AskError> for DeskError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Overloaded => Self::Overloaded,
            AskError::TimedOut => Self::TimedOut,
            AskError::Quarantined { kind, id } => Self::Quarantined { kind, id },
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<NotLoaded> for DeskError {
    fn from(error: NotLoaded) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Where reservations are made and ended. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Desk {
    pub(super) router: Router<StockActor>,
    pub(super) shelves: Shelves,
    pub(super) committer: Committer<Change>,
    pub(super) reservations: Loader<ReservationId, Reservation>,
    pub(super) events: EventStore,
    pub(super) recent: Cache<ReservationId, Arc<Reservation>>,
}

/// What asking all actors gave.
enum Gathered {
    All(Vec<Hold>),
    Short(Vec<ShortLine>),
}

/// Why a commit has to be decided again.
pub(super) enum Again {
    /// Look and decide again.
    Look(&'static str),
    /// Give up.
    GiveUp(DeskError),
}

impl Desk {
    /// A desk in front of these actors.
    pub fn new(
        router: Router<StockActor>,
        shelves: Shelves,
        committer: Committer<Change>,
        reservations: Loader<ReservationId, Reservation>,
        events: EventStore,
    ) -> Self {
        let recent = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER_FOR).build();
        Self { router, shelves, committer, reservations, events, recent }
    }

    /// Holds every line, or rejects. Asked again with the same id, it answers the same.
    pub async fn reserve(&self, mut booking: Booking, mut cause: Cause) -> Result<Booked, DeskError> {
        let until = Instant::now() + PATIENCE;
        // Nearly always it is new: the database is asked only when it says that it knows better.
        let mut known = self.recent.get(&booking.id);
        for _ in 0..TRIES {
            let sold = match ask(known.as_ref().map(|known| known.state)) {
                Asking::Hold => false,
                Asking::HoldAndSell => true,
                Asking::Answered if defect("defect.dedupe") => {
                    (booking.id, cause.event) = (ReservationId::new(), None);
                    false
                }
                Asking::Answered => match known {
                    Some(known) => return self.answered(known).await,
                    None => false,
                },
            };
            let (after, entry, holds) = match self.gather(&booking.lines, until).await? {
                Gathered::All(holds) => {
                    let (after, entry) = held(&booking, &holds, sold, &cause);
                    (after, entry, holds)
                }
                Gathered::Short(short) => {
                    let (after, entry) = rejected(&booking, short, known.is_some(), &cause);
                    (after, entry, Vec::new())
                }
            };
            match self.commit(entry, holds).await {
                Ok(()) => {
                    let after = Arc::new(after);
                    self.recent.insert(after.id, after.clone());
                    metrics::booked(if after.state == State::Rejected { "rejected" } else { "reserved" });
                    return self.answered(after).await;
                }
                Err(Again::Look(why)) => {
                    metrics::again(why);
                    known = self.look_up(booking.id).await?;
                }
                Err(Again::GiveUp(error)) => return Err(error),
            }
        }
        Err(DeskError::TimedOut)
    }

    /// Asks the actors in product order. After the first shortage nothing is held any more, but the others are still
    /// asked, so that the answer names every short line.
    async fn gather(&self, lines: &Lines, until: Instant) -> Result<Gathered, DeskError> {
        let mut holds = Vec::new();
        let mut short = Vec::new();
        for (product, wanted) in lines.iter() {
            let since = Instant::now();
            let wish = Wish { wanted, take: short.is_empty(), since, until };
            let left = until.saturating_duration_since(since);
            match self.router.ask(product, left, |reply| Ask::Hold(wish, reply)).await? {
                Answer::Held(hold) => holds.push(hold),
                Answer::Enough => {}
                Answer::Short { available } => {
                    holds.clear();
                    let available = u32::try_from(available).unwrap_or(u32::MAX);
                    short.push(ShortLine { product_id: product, wanted: wanted.get(), available });
                }
                Answer::TooLong => return Err(DeskError::TimedOut),
                Answer::Away(reason) => return Err(DeskError::Unavailable(reason)),
            }
        }
        Ok(if short.is_empty() { Gathered::All(holds) } else { Gathered::Short(short) })
    }

    /// Commits, and decides the holds by how that ends.
    async fn commit(&self, entry: Entry<Change>, mut holds: Vec<Hold>) -> Result<(), Again> {
        holds.iter_mut().for_each(Hold::committing);
        let result = self.committer.commit(entry).await;
        match &result {
            Ok(_) => holds.into_iter().for_each(Hold::confirm),
            // Not written, and not because of the stock.
            Err(CommitError::Conflict | CommitError::Duplicate | CommitError::Overloaded) => {
                holds.into_iter().for_each(Hold::give_back);
            }
            // Refused by the stock as the database knows it, or nobody knows: the actors have to look.
            Err(CommitError::Refused { .. } | CommitError::Unavailable) => drop(holds),
        }
        verdict(result.map(drop))
    }

    /// The answer that an earlier asking got.
    async fn answered(&self, known: Arc<Reservation>) -> Result<Booked, DeskError> {
        if known.state != State::Rejected {
            return Ok(Booked::Known(known));
        }
        if !known.short.is_empty() {
            return Ok(Booked::Rejected(known));
        }
        // What was short is in the event.
        let events = self
            .events
            .stream(known.id.uuid(), 0)
            .await
            .map_err(|error| DeskError::Unavailable(format!("the rejection cannot be read: {error}")))?;
        let short = events.first().map(store::short_lines).transpose();
        let short = short.map_err(|error| DeskError::Unavailable(error.to_string()))?.unwrap_or_default();
        Ok(Booked::Rejected(Arc::new(Reservation { short, ..Reservation::clone(&known) })))
    }

    /// What the database knows.
    pub(super) async fn look_up(&self, id: ReservationId) -> Result<Option<Arc<Reservation>>, DeskError> {
        let known = self.reservations.load(id).await?.map(Arc::new);
        match &known {
            Some(known) => self.recent.insert(id, known.clone()),
            None => self.recent.invalidate(&id),
        }
        Ok(known)
    }
}

/// What to do after a commit.
pub(super) fn verdict(result: Result<(), CommitError>) -> Result<(), Again> {
    result.map_err(|error| match error {
        CommitError::Conflict => Again::Look("conflict"),
        CommitError::Duplicate => Again::GiveUp(DeskError::Handled),
        CommitError::Refused { .. } => Again::Look("refused"),
        CommitError::Overloaded => Again::GiveUp(DeskError::Overloaded),
        CommitError::Unavailable => Again::GiveUp(DeskError::Unavailable("the database".to_owned())),
    })
}

fn held(booking: &Booking, holds: &[Hold], sold: bool, cause: &Cause) -> (Reservation, Entry<Change>) {
    let now = Timestamp::now();
    let portions: Vec<Portion> = holds.iter().flat_map(Hold::portions).collect();
    let after = Reservation {
        id: booking.id,
        of_order: booking.of_order,
        state: if sold { State::Sold } else { State::Held },
        version: if sold { 2 } else { 1 },
        portions: portions.clone(),
        short: Vec::new(),
        expires_at: booking.expires_at,
    };
    let mut events = vec![store::reserved(booking.id, booking.of_order, &booking.lines, now)];
    let mut movements: Vec<Movement> = Movement::reserve(booking.id, &portions).collect();
    if sold {
        events.push(store::deducted(&after, now));
        movements.extend(Movement::sell(booking.id, &portions));
    }
    let projection =
        Change { reservation: Some(row(&after, sold)), portions, movements, ..Change::default() };
    (after, entry(events, cause, projection))
}

fn rejected(
    booking: &Booking,
    short: Vec<ShortLine>,
    noted: bool,
    cause: &Cause,
) -> (Reservation, Entry<Change>) {
    let after = Reservation {
        id: booking.id,
        of_order: booking.of_order,
        state: State::Rejected,
        version: 1,
        portions: Vec::new(),
        short,
        expires_at: None,
    };
    let events = vec![store::rejected(after.id, after.of_order, &after.short, Timestamp::now())];
    let projection = Change { reservation: Some(row(&after, noted)), ..Change::default() };
    (after, entry(events, cause, projection))
}

/// The row of a reservation that has just begun; `noted` when its sale was reported before.
fn row(after: &Reservation, noted: bool) -> Row {
    let Reservation { id, of_order, state, version, expires_at, .. } = *after;
    match noted {
        true => Row::Step { id, from: State::SaleNoted, to: state, version },
        false => Row::Open { id, of_order, state, version, expires_at },
    }
}

pub(super) fn entry(
    events: Vec<viscount_chassis::store::NewEvent>,
    cause: &Cause,
    projection: Change,
) -> Entry<Change> {
    let events = events.into_iter().map(|event| event.traced(cause.traceparent.clone())).collect();
    Entry { events, inbox: cause.event, projection }
}
