//! What can happen in the small world, and what must never be.

use stateright::{Model, Property};
use viscount_contracts::Quantity;
use viscount_inventory::domain::{
    Asking, End, Ending, Location, Reason, State as Held, Take, ask, end, fits,
};
use viscount_orders::domain::Status;
use viscount_payments::domain::Answer;

use super::{
    cores::{self, PRICE},
    state::{Cause, Decided, Fact, ORDERS, REPLICAS, Reserving, State, Told},
};

/// How much may go wrong, and what is broken on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Saga {
    /// Crashes in all.
    pub crashes: u8,
    /// Messages that come again in all, beyond those that crashes bring back.
    pub repeats: u8,
    /// The buyer of the first order may call it off.
    pub calls_off: bool,
    /// Deadlines of so many orders may pass.
    pub expires: usize,
    /// The card of the second order is refused.
    pub bad_card: bool,
    /// Versions are guarded.
    pub guard: bool,
    /// A charge has the order's id as its key.
    pub keyed: bool,
    /// An order that finds nothing to do looks first whether its memory is old news.
    pub looks: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A replica of orders decides, on what it has in memory.
    Decide(usize, usize, Cause),
    /// It commits what it has decided.
    Commit(usize),
    /// A replica of inventory takes an order's beginning in hand, and asks its shelf.
    Reserve(usize, usize),
    /// It commits.
    CommitStock(usize),
    /// Inventory handles any other event of an order.
    End(usize),
    /// The provider is asked for what an order's next event wants, and whoever asked dies before it is written.
    Ask(usize),
    /// Payments handles an order's next event, and asks the provider first where that is needed.
    Pay(usize),
    /// A replica of orders forgets everything.
    Crash(usize),
    /// A replica of inventory does.
    CrashStock(usize),
}

fn one() -> Quantity {
    Quantity::new(1).unwrap()
}

impl Model for Saga {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new([false, self.bad_card])]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.forked {
            return;
        }
        for at in 0..ORDERS {
            self.causes(state, at, actions);
            let next = state.orders[at].get(usize::from(state.by_inventory[at]));
            match next {
                Some(Fact::Created) => {
                    let free = (0..REPLICAS).filter(|replica| state.reserving[*replica].is_none());
                    actions.extend(free.map(|replica| Action::Reserve(replica, at)));
                }
                Some(_) => actions.push(Action::End(at)),
                None => {}
            }
            if let Some(fact) = state.orders[at].get(usize::from(state.by_payments[at])) {
                if asks(state, at, *fact) && state.crashes < self.crashes {
                    actions.push(Action::Ask(at));
                }
                actions.push(Action::Pay(at));
            }
        }
        for replica in 0..REPLICAS {
            if state.decided[replica].is_some() {
                actions.push(Action::Commit(replica));
            }
            if state.reserving[replica].is_some() {
                actions.push(Action::CommitStock(replica));
            }
            if state.crashes < self.crashes {
                if state.known[replica] != [0; ORDERS] || state.decided[replica].is_some() {
                    actions.push(Action::Crash(replica));
                }
                if state.shelves[replica].is_some() {
                    actions.push(Action::CrashStock(replica));
                }
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Decide(replica, at, cause) => self.decide(&mut state, replica, at, cause),
            Action::Commit(replica) => self.commit(&mut state, replica),
            Action::Reserve(replica, at) => reserve(&mut state, replica, at),
            Action::CommitStock(replica) => commit_stock(&mut state, replica),
            Action::End(at) => end_reservation(&mut state, at),
            Action::Ask(at) => {
                state.crashes += 1;
                self.provide(&mut state, at);
            }
            Action::Pay(at) => {
                self.provide(&mut state, at);
                pay(&mut state, at);
            }
            Action::Crash(replica) => {
                state.crashes += 1;
                state.known[replica] = [0; ORDERS];
                state.decided[replica] = None;
            }
            Action::CrashStock(replica) => {
                state.crashes += 1;
                state.shelves[replica] = None;
                state.reserving[replica] = None;
            }
        }
        state.settle();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is oversold", |_, state: &State| {
                let (on_hand, reserved) = state.stock;
                reserved >= 0 && on_hand >= reserved && reserved + state.sold <= 1
            }),
            Property::always("one order at the most is completed", |_, state: &State| {
                state.orders.iter().filter(|facts| facts.contains(&Fact::Completed)).count() <= 1
            }),
            Property::always("an order is charged once", |_, state: &State| {
                state.charged.iter().all(|times| *times <= 1)
            }),
            Property::always("versions are contiguous", |_, state: &State| !state.forked),
            Property::always("whoever rests, rests well", |saga: &Saga, state: &State| {
                state.forked || saga.goes_on(state) || rests_well(state)
            }),
            Property::sometimes("the piece is sold", |_, state: &State| state.sold == 1),
            Property::sometimes("money goes back", |saga: &Saga, state: &State| {
                state.returned.contains(&1) || !saga.calls_off && saga.expires == 0
            }),
        ]
    }
}

impl Saga {
    /// True while something has to be done still.
    fn goes_on(&self, state: &State) -> bool {
        state.has_work() || (0..self.expires).any(|at| state.waits(at))
    }

    /// What may make an order decide now.
    fn causes(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let mut causes = Vec::new();
        let (told, money) = (state.from_inventory[at], state.from_payments[at]);
        if usize::from(told) < state.told[at].len() {
            causes.push(Cause::Inventory(told));
        }
        if usize::from(money) < state.money[at].len() {
            causes.push(Cause::Payments(money));
        }
        if state.repeats < self.repeats {
            causes.extend(told.checked_sub(1).map(Cause::Inventory));
            causes.extend(money.checked_sub(1).map(Cause::Payments));
        }
        let events = state.orders[at].len() as u8;
        if self.calls_off && at == 0 && !state.called_off {
            causes.push(Cause::Cancel);
        }
        if at < self.expires && state.waits(at) {
            causes.push(Cause::Expire(events));
        }
        for replica in 0..REPLICAS {
            let free = state.decided[replica].is_none();
            // One event of a key is in one pair of hands; a person and a watchman may come at any replica.
            let taken = |cause: &Cause| {
                state.decided.iter().flatten().any(|decided| decided.order == at && decided.cause == *cause)
            };
            let begin = causes.iter().filter(|cause| free && !taken(cause));
            actions.extend(begin.map(|cause| Action::Decide(replica, at, *cause)));
        }
    }

    /// The provider does what it is asked for, once under one key.
    fn provide(&self, state: &mut State, at: usize) {
        let fact = state.orders[at][usize::from(state.by_payments[at])];
        if !asks(state, at, fact) || state.bad_card[at] {
            return;
        }
        match fact {
            Fact::Validated if self.keyed => state.charged[at] = 1,
            Fact::Validated => state.charged[at] += 1,
            _ => state.returned[at] = 1,
        }
    }

    fn decide(&self, state: &mut State, replica: usize, at: usize, cause: Cause) {
        let newest = state.orders[at].len() as u8;
        if state.known[replica][at] == 0 {
            state.known[replica][at] = newest;
        }
        match cause {
            Cause::Inventory(number) if number < state.from_inventory[at] => state.repeats += 1,
            Cause::Payments(number) if number < state.from_payments[at] => state.repeats += 1,
            Cause::Cancel => state.called_off = true,
            _ => {}
        }
        // A refusal may be old news, and so may it be that nothing follows: decided once more on what is stored.
        match cores::order_decides(state, at, state.known[replica][at], cause) {
            None => state.known[replica][at] = newest,
            Some(facts) if facts.is_empty() && self.looks => state.known[replica][at] = newest,
            Some(_) => {}
        }
        let on = state.known[replica][at];
        match cores::order_decides(state, at, on, cause) {
            None => {}
            Some(facts) if facts.is_empty() => handled(state, at, cause),
            Some(_) => state.decided[replica] = Some(Decided { order: at, cause, on }),
        }
    }

    fn commit(&self, state: &mut State, replica: usize) {
        let Some(Decided { order, cause, on }) = state.decided[replica].take() else { return };
        let newest = state.orders[order].len() as u8;
        let again = match cause {
            Cause::Inventory(number) => number < state.from_inventory[order],
            Cause::Payments(number) => number < state.from_payments[order],
            Cause::Cancel | Cause::Expire(_) => false,
        };
        if again || (on != newest && self.guard) {
            // Handled before, or somebody was faster: what is stored is read again.
            state.known[replica][order] = newest;
            if !again && cause == Cause::Cancel {
                // The buyer's request is decided again at once; no event would bring it back.
                let decided = Decided { order, cause, on: newest };
                let events = cores::order_decides(state, order, newest, cause);
                state.decided[replica] = events.filter(|events| !events.is_empty()).map(|_| decided);
            }
            return;
        }
        state.forked |= on != newest;
        let facts = cores::order_decides(state, order, on, cause).unwrap_or_default();
        state.orders[order].extend(facts);
        state.known[replica][order] = state.orders[order].len() as u8;
        handled(state, order, cause);
    }
}

/// True when the provider has to be asked before payments can handle this.
fn asks(state: &State, at: usize, fact: Fact) -> bool {
    let intent = cores::intent(at, fact);
    intent.is_some_and(|intent| cores::payment(at, &state.money[at]).asks(&intent).is_some())
}

fn handled(state: &mut State, at: usize, cause: Cause) {
    match cause {
        Cause::Inventory(number) => state.from_inventory[at] = state.from_inventory[at].max(number + 1),
        Cause::Payments(number) => state.from_payments[at] = state.from_payments[at].max(number + 1),
        Cause::Cancel | Cause::Expire(_) => {}
    }
}

fn reserve(state: &mut State, replica: usize, at: usize) {
    if ask(state.reservations[at]) == Asking::Answered {
        state.by_inventory[at] = state.by_inventory[at].max(1);
        return;
    }
    let mut shelf = state.shelves[replica].take().unwrap_or_else(|| cores::shelf(state));
    let taken = match shelf.take(one()) {
        // Nobody is refused on what may be old news.
        Take::Doubtful | Take::Short { .. } => {
            shelf.correct(&cores::balance(state));
            shelf.take(one())
        }
        taken => taken,
    };
    state.reserving[replica] = Some(match taken {
        Take::Held(_) => Reserving::Holds(at),
        _ => Reserving::Rejects(at),
    });
    state.shelves[replica] = Some(shelf);
}

fn commit_stock(state: &mut State, replica: usize) {
    let Some(reserving) = state.reserving[replica].take() else { return };
    let (Reserving::Holds(at) | Reserving::Rejects(at)) = reserving;
    let fresh = state.reservations[at].is_none();
    let back = vec![(Location::main(), 1)];
    let (on_hand, reserved) = state.stock;
    match reserving {
        Reserving::Holds(_) if fresh && fits(on_hand, reserved + 1) => {
            state.stock.1 += 1;
            state.reservations[at] = Some(Held::Held);
            state.told[at].push(Told::Reserved);
            state.shelves[replica].iter_mut().for_each(|shelf| shelf.confirm());
        }
        Reserving::Holds(_) => state.shelves[replica].iter_mut().for_each(|shelf| {
            shelf.give_back(&back);
            shelf.doubt();
        }),
        Reserving::Rejects(_) if fresh => {
            state.reservations[at] = Some(Held::Rejected);
            state.told[at].push(Told::Rejected);
        }
        Reserving::Rejects(_) => {}
    }
    if state.reservations[at].is_some() {
        state.by_inventory[at] = state.by_inventory[at].max(1);
    }
}

fn end_reservation(state: &mut State, at: usize) {
    let fact = state.orders[at][usize::from(state.by_inventory[at])];
    state.by_inventory[at] += 1;
    let how = match fact {
        Fact::CancelledByBuyer | Fact::CancelledByDeadline => End::Release(Reason::Cancelled),
        Fact::OutOfStock | Fact::Declined => End::Release(Reason::Rejected),
        Fact::Completed => End::Sell,
        _ => return,
    };
    match end(state.reservations[at], how) {
        Ending::Settle(to) => {
            state.reservations[at] = Some(to);
            state.stock.1 -= 1;
            if to == Held::Sold {
                state.stock.0 -= 1;
                state.sold += 1;
                state.told[at].push(Told::Deducted);
            } else {
                state.told[at].push(Told::Released);
            }
        }
        Ending::Note(to) => state.reservations[at] = Some(to),
        Ending::Done => {}
        // A sale of what is not held: the check of stock would say so.
        Ending::TooLate => state.sold += i64::from(how == End::Sell) * 2,
    }
}

fn pay(state: &mut State, at: usize) {
    let fact = state.orders[at][usize::from(state.by_payments[at])];
    state.by_payments[at] += 1;
    let Some(intent) = cores::intent(at, fact) else { return };
    let asks = cores::payment(at, &state.money[at]).asks(&intent).is_some();
    let answer = asks.then(|| match state.bad_card[at] {
        true => Answer::Refused { code: String::new(), detail: String::new() },
        false => Answer::Done { reference: String::new(), amount: PRICE },
    });
    let facts = cores::payment_decides(at, &state.money[at], intent, answer);
    state.money[at].extend(facts);
}

/// Every order has ended, nothing is held, and the money is where it belongs.
fn rests_well(state: &State) -> bool {
    (0..ORDERS).all(|at| {
        let order = cores::order(at, &state.orders[at], state.orders[at].len() as u8);
        let kept = i64::from(state.charged[at]) - i64::from(state.returned[at]);
        let held = state.reservations[at];
        let agrees = match order.status {
            Status::Completed => held == Some(Held::Sold) && kept == 1,
            Status::Cancelled | Status::Rejected => {
                matches!(held, Some(Held::Released | Held::Rejected)) && kept == 0
            }
            _ => false,
        };
        agrees && order.is_settled() && cores::payment_rests(at, &state.money[at])
    }) && state.stock.1 == 0
}
