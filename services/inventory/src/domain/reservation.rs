//! A reservation: all of its lines or none. Held, then sold or given back, each at most once.

use jiff::Timestamp;
use viscount_contracts::{ProductId, ReservationId};

use super::{Portion, ShortLine};

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Its pieces are put aside.
    Held,
    /// Its pieces have left the house.
    Sold,
    /// Its pieces were given back; or it was called off before it was asked for.
    Released,
    /// Its time ran out and its pieces were given back.
    Expired,
    /// There was not enough.
    Rejected,
    /// It was reported as sold before it was asked for: evidence, kept until the cause is there.
    SaleNoted,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] =
        [State::Held, State::Sold, State::Released, State::Expired, State::Rejected, State::SaleNoted];

    /// As it is stored and told.
    pub const fn name(self) -> &'static str {
        match self {
            State::Held => "held",
            State::Sold => "sold",
            State::Released => "released",
            State::Expired => "expired",
            State::Rejected => "rejected",
            State::SaleNoted => "sale_noted",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Why a reservation is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The order was cancelled.
    Cancelled,
    /// The order was rejected for another reason, such as a declined payment.
    Rejected,
    /// Whoever asked for it no longer needs it.
    Released,
    /// Its time ran out.
    Expired,
}

impl Reason {
    /// As it is told.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Cancelled => "cancelled",
            Reason::Rejected => "rejected",
            Reason::Released => "released",
            Reason::Expired => "expired",
        }
    }

    /// The state that it leads to.
    pub const fn state(self) -> State {
        match self {
            Reason::Expired => State::Expired,
            Reason::Cancelled | Reason::Rejected | Reason::Released => State::Released,
        }
    }
}

/// One reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Which; an order's reservation has the order's id.
    pub id: ReservationId,
    /// It belongs to an order, and only the order's own events end it.
    pub of_order: bool,
    /// Where it stands.
    pub state: State,
    /// The version of its newest event; 0 when it never had one.
    pub version: i32,
    /// What it holds, or held, where.
    pub portions: Vec<Portion>,
    /// What there was not enough of, when it was rejected and the lines are at hand.
    pub short: Vec<ShortLine>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Reservation {
    /// The products in order with the pieces of each.
    pub fn lines(&self) -> Vec<(ProductId, u32)> {
        let mut lines: Vec<(ProductId, u32)> = Vec::new();
        for portion in &self.portions {
            match lines.last_mut() {
                Some((product, pieces)) if *product == portion.product => *pieces += portion.quantity,
                _ => lines.push((portion.product, portion.quantity)),
            }
        }
        lines
    }
}

/// What asking for a reservation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Hold the stock, or reject.
    Hold,
    /// Hold the stock and sell it at once: the sale was reported before.
    HoldAndSell,
    /// Nothing: it was asked for before, and the answer of then stands.
    Answered,
}

/// What asking means for a reservation that stands there, `None` when it was never heard of.
pub fn ask(known: Option<State>) -> Asking {
    use State::{Expired, Held, Rejected, Released, SaleNoted, Sold};
    match known {
        None => Asking::Hold,
        Some(SaleNoted) => Asking::HoldAndSell,
        Some(Held | Sold | Released | Expired | Rejected) => Asking::Answered,
    }
}

/// How a reservation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its pieces are given back.
    Release(Reason),
    /// Its pieces have left the house.
    Sell,
}

/// What ending a reservation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The pieces that it holds are freed, or leave the house. It stands there then.
    Settle(State),
    /// Evidence to keep: its end came before its beginning. It stands there then.
    Note(State),
    /// Nothing: it has ended like this before, or never held anything.
    Done,
    /// It has ended the other way: the goods are gone, or were given to others.
    TooLate,
}

/// What an end means for a reservation that stands there, `None` when it was never heard of.
pub fn end(known: Option<State>, end: End) -> Ending {
    use State::{Expired, Held, Rejected, Released, SaleNoted, Sold};
    match (end, known) {
        (End::Release(reason), Some(Held)) => Ending::Settle(reason.state()),
        (End::Release(_), Some(Released | Expired | Rejected)) => Ending::Done,
        (End::Release(_), Some(Sold | SaleNoted)) => Ending::TooLate,
        (End::Release(reason), None) => Ending::Note(reason.state()),

        (End::Sell, Some(Held)) => Ending::Settle(Sold),
        (End::Sell, Some(Sold | SaleNoted)) => Ending::Done,
        (End::Sell, Some(Released | Expired | Rejected)) => Ending::TooLate,
        (End::Sell, None) => Ending::Note(SaleNoted),
    }
}
