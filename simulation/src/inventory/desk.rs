//! The desk: makes one reservation out of several products, ends reservations, takes deliveries of goods.

use std::rc::Rc;

use uuid::Uuid;
use viscount_contracts::{Envelope, ProductId, Quantity, ReservationId, Topic};
use viscount_inventory::{
    codec,
    domain::{
        Adjustment, Asking, End, Ending, Lines, Movement, Portion, Reservation, ShortLine, State, ask, end,
    },
    subscription::{Wanted, route},
};

use super::{
    shelf::{Asked, Hold, Memory},
    tables::{Change, Row, StockTables, balance},
};
use crate::{
    node::{At, Outcome, Progress, Service, Step},
    store::{Entry, Verdict},
};

/// What counts as little.
const LOW: u32 = 1;

/// The inventory service.
#[derive(Debug)]
pub struct Inventory;

/// A piece of work.
#[derive(Debug)]
pub enum Work {
    /// Hold every line, or reject.
    Reserve(Box<Reserve>),
    /// End a reservation.
    End(Box<Ends>),
    /// A change by hand.
    Adjust(ProductId, Adjustment),
}

/// A reservation that is being made.
#[derive(Debug)]
pub struct Reserve {
    id: ReservationId,
    lines: Lines,
    wanted: Vec<(ProductId, Quantity)>,
    known: Option<Reservation>,
    begun: bool,
    at: usize,
    since: Option<u64>,
    holds: Vec<Hold>,
    short: Vec<ShortLine>,
    after: Option<Reservation>,
}

/// A reservation that is being ended.
#[derive(Debug)]
pub struct Ends {
    id: ReservationId,
    how: End,
    known: Option<Reservation>,
    begun: bool,
    after: Option<Reservation>,
}

impl Work {
    fn reserve(id: ReservationId, lines: Lines) -> Self {
        let wanted = lines.iter().collect();
        let (known, begun, at, since) = (None, false, 0, None);
        let (holds, short, after) = (Vec::new(), Vec::new(), None);
        Work::Reserve(Box::new(Reserve { id, lines, wanted, known, begun, at, since, holds, short, after }))
    }
}

type Place<'a> = At<'a, Inventory>;

impl Reserve {
    fn again(&mut self) {
        self.at = 0;
        self.since = None;
        self.short.clear();
    }

    fn step(&mut self, at: &mut Place<'_>, task: u64, cause: Option<&Rc<Envelope>>) -> Step<Inventory> {
        if !self.begun {
            self.begun = true;
            self.known = at.memory.recent.get(&self.id).cloned();
        }
        let sold = match ask(self.known.as_ref().map(|known| known.state)) {
            Asking::Answered => return Progress::Over(Outcome::Done(None)),
            Asking::HoldAndSell => true,
            Asking::Hold => false,
        };
        if let Some((product, wanted)) = self.wanted.get(self.at).copied() {
            let tick = at.shared.tick;
            let joins = self.since.is_none();
            let since = *self.since.get_or_insert(tick);
            let take = self.short.is_empty();
            match at.memory.ask(at.db, (task, since, tick), (product, wanted), take) {
                Asked::Held(hold) => self.holds.push(hold),
                Asked::Enough => {}
                Asked::Short(available) => {
                    at.memory.give_back(&mut self.holds, false);
                    let available = u32::try_from(available).unwrap_or(u32::MAX);
                    self.short.push(ShortLine { product_id: product, wanted: wanted.get(), available });
                }
                Asked::Wait => {
                    if joins {
                        return Progress::Onward;
                    }
                    // Patience may end before others decide.
                    if at.shared.choices.once_in(12) {
                        at.memory.leave(task);
                        at.memory.give_back(&mut self.holds, false);
                        return Progress::Over(Outcome::Away);
                    }
                    return Progress::Blocked;
                }
            }
            self.at += 1;
            self.since = None;
            return Progress::Onward;
        }
        Progress::Commit(self.entry(at, sold, cause))
    }

    fn entry(&mut self, at: &mut Place<'_>, sold: bool, cause: Option<&Rc<Envelope>>) -> Entry<Change> {
        let now = at.shared.clock(at.skew);
        let noted = self.known.is_some();
        let part = |product, (location, quantity): &(_, u32)| -> Portion {
            Portion { product, location: Clone::clone(location), quantity: *quantity }
        };
        let portions: Vec<Portion> = self
            .holds
            .iter()
            .flat_map(|(product, parts)| parts.iter().map(move |parts| part(*product, parts)))
            .collect();
        let is_short = !self.short.is_empty();
        let state = match (is_short, sold) {
            (true, _) => State::Rejected,
            (false, true) => State::Sold,
            (false, false) => State::Held,
        };
        let version = if state == State::Sold { 2 } else { 1 };
        let after = Reservation {
            id: self.id,
            of_order: true,
            state,
            version,
            portions,
            short: self.short.clone(),
            expires_at: None,
        };
        let mut movements = Vec::new();
        let mut events = Vec::new();
        if is_short {
            events.push(codec::rejected(self.id, true, &self.short, now));
        } else {
            events.push(codec::reserved(self.id, true, &self.lines, now));
            movements.extend(Movement::reserve(self.id, &after.portions));
        }
        if state == State::Sold {
            events.push(codec::deducted(&after, now));
            movements.extend(Movement::sell(self.id, &after.portions));
        }
        self.after = Some(after.clone());
        let row = Some(if noted { Row::Step(State::SaleNoted, after) } else { Row::Open(after) });
        let events = events.into_iter().map(|event| at.shared.named(event)).collect();
        Entry { events, cause: cause.cloned(), change: Change { row, movements, sign: None } }
    }

    fn written(&mut self, at: &mut Place<'_>, verdict: Verdict) -> Step<Inventory> {
        match verdict {
            Verdict::Done => at.memory.confirm(&mut self.holds),
            Verdict::Conflict | Verdict::Duplicate => at.memory.give_back(&mut self.holds, false),
            Verdict::Refused | Verdict::Unavailable => at.memory.give_back(&mut self.holds, true),
        }
        match verdict {
            Verdict::Done => {
                at.memory.recent.extend(self.after.take().map(|after| (after.id, after)));
                Progress::Over(Outcome::Done(None))
            }
            Verdict::Duplicate => Progress::Over(Outcome::Done(None)),
            Verdict::Unavailable => Progress::Over(Outcome::Away),
            Verdict::Conflict | Verdict::Refused => {
                self.known = look_up(at, self.id);
                self.again();
                Progress::Onward
            }
        }
    }
}

fn look_up(at: &mut Place<'_>, id: ReservationId) -> Option<Reservation> {
    let known = at.db.tables.reservations.get(&id).cloned();
    match &known {
        Some(known) => at.memory.recent.insert(id, known.clone()),
        None => at.memory.recent.remove(&id),
    };
    known
}

impl Ends {
    fn step(&mut self, at: &mut Place<'_>, cause: Option<&Rc<Envelope>>) -> Step<Inventory> {
        if !self.begun {
            self.begun = true;
            self.known = at.memory.recent.get(&self.id).cloned();
            if self.known.is_none() {
                self.known = look_up(at, self.id);
            }
        }
        let now = at.shared.clock(at.skew);
        let ending = end(self.known.as_ref().map(|known| known.state), self.how);
        let (entry, after) = match (ending, &self.known) {
            (Ending::Settle(state), Some(known)) => {
                let after = Reservation { state, version: known.version + 1, ..known.clone() };
                let (event, movements) = match self.how {
                    End::Release(reason) => (
                        codec::released(&after, reason, now),
                        Movement::release(after.id, &after.portions).collect(),
                    ),
                    End::Sell => {
                        (codec::deducted(&after, now), Movement::sell(after.id, &after.portions).collect())
                    }
                };
                let events = vec![at.shared.named(event)];
                let row = Some(Row::Step(known.state, after.clone()));
                (
                    Entry { events, cause: cause.cloned(), change: Change { row, movements, sign: None } },
                    after,
                )
            }
            (Ending::Note(state), _) => {
                let (portions, short) = (Vec::new(), Vec::new());
                let (id, of_order, version, expires_at) = (self.id, true, 0, None);
                let after = Reservation { id, of_order, state, version, portions, short, expires_at };
                let change = Change { row: Some(Row::Open(after.clone())), ..Change::default() };
                (Entry { events: Vec::new(), cause: cause.cloned(), change }, after)
            }
            (Ending::TooLate, _) if self.how == End::Sell => {
                return Progress::Over(Outcome::Refused(
                    "completed, but its reservation has ended".to_owned(),
                ));
            }
            _ => return Progress::Over(Outcome::Done(None)),
        };
        self.after = Some(after);
        Progress::Commit(entry)
    }

    fn written(&mut self, at: &mut Place<'_>, verdict: Verdict) -> Step<Inventory> {
        match verdict {
            Verdict::Done => {
                if let Some(after) = self.after.take() {
                    if matches!(self.how, End::Release(_)) {
                        for portion in &after.portions {
                            at.memory.moved(portion.product, &portion.location, i64::from(portion.quantity));
                        }
                    }
                    at.memory.recent.insert(after.id, after);
                }
                Progress::Over(Outcome::Done(None))
            }
            Verdict::Duplicate => Progress::Over(Outcome::Done(None)),
            Verdict::Unavailable => Progress::Over(Outcome::Away),
            Verdict::Conflict | Verdict::Refused => {
                self.known = look_up(at, self.id);
                Progress::Onward
            }
        }
    }
}

fn adjust(at: &mut Place<'_>, product: ProductId, adjustment: &Adjustment) -> Step<Inventory> {
    let now = at.shared.clock(at.skew);
    let balance = balance(at.db, product);
    let Ok(decided) = balance.adjust(adjustment.clone(), LOW) else {
        return Progress::Over(Outcome::Refused("less would be there than is held".to_owned()));
    };
    let version = balance.stream + 1;
    let mut events = vec![codec::adjusted(product, adjustment, version, now)];
    events.extend(codec::notices(product, &decided.notices, version, now));
    let events = events.into_iter().map(|event| at.shared.named(event)).collect();
    let sign = (decided.sign != balance.sign).then_some((product, decided.sign));
    Progress::Commit(Entry {
        events,
        cause: None,
        change: Change { row: None, movements: vec![decided.movement], sign },
    })
}

impl Service for Inventory {
    const TOPIC: Topic = Topic::Inventory;
    const LISTENS: &'static [Topic] = &[Topic::Orders];
    type Tables = StockTables;
    type Change = Change;
    type Memory = Memory;
    type Work = Work;
    type Answer = ();

    fn work(event: &Envelope) -> Result<Option<Work>, String> {
        let id = ReservationId::from(event.key);
        Ok(match route(event).map_err(|error| error.to_string())? {
            None => None,
            Some(Wanted::Reserve(lines)) => Some(Work::reserve(id, lines)),
            Some(Wanted::End(how)) => {
                Some(Work::End(Box::new(Ends { id, how, known: None, begun: false, after: None })))
            }
        })
    }

    /// The desk needs no actor of its own; products have lines before their shelves.
    fn entity(_: &Work) -> Option<Uuid> {
        None
    }

    fn step(at: &mut Place<'_>, id: u64, work: &mut Work, cause: Option<&Rc<Envelope>>) -> Step<Self> {
        match work {
            Work::Reserve(reserve) => reserve.step(at, id, cause),
            Work::End(ends) => ends.step(at, cause),
            Work::Adjust(product, adjustment) => adjust(at, *product, adjustment),
        }
    }

    fn written(at: &mut Place<'_>, work: &mut Work, verdict: Verdict) -> Step<Self> {
        match work {
            Work::Reserve(reserve) => reserve.written(at, verdict),
            Work::End(ends) => ends.written(at, verdict),
            Work::Adjust(product, adjustment) => match verdict {
                Verdict::Done => {
                    at.memory.moved(*product, &adjustment.location, i64::from(adjustment.delta));
                    Progress::Over(Outcome::Done(None))
                }
                Verdict::Conflict | Verdict::Refused => Progress::Onward,
                Verdict::Duplicate | Verdict::Unavailable => Progress::Over(Outcome::Away),
            },
        }
    }

    fn fell(memory: &mut Memory, id: u64, work: &mut Work) {
        memory.leave(id);
        if let Work::Reserve(reserve) = work {
            memory.give_back(&mut reserve.holds, false);
        }
    }
}
