//! The payment provider: remembers what was done under which key, may be slow, deaf or forgetful of its answers, and
//! tells of what it has done by webhooks, again until somebody takes them.

use std::collections::BTreeMap;

use uuid::Uuid;
use viscount_contracts::{Money, OrderId, UserId};
use viscount_payments::domain::{Answer, Call, CallId, Terms};

use crate::shared::Shared;

/// The token of a card that is always refused.
pub const DECLINED: &str = "tok_declined";
/// A request that is older than this does not arrive any more, in milliseconds.
const LOST_AFTER: i64 = 20_000;

/// A charge, or a refusal to charge.
#[derive(Debug, Clone)]
pub struct Charge {
    /// For which order.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// Money was taken.
    pub taken: bool,
    /// Of that, returned.
    pub refunded: i64,
    customer: UserId,
}

/// A refund that was made.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Of which order.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    charge: String,
}

/// What is told by itself until somebody takes it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its number.
    pub id: u64,
    /// Whose payment it is about.
    pub order: OrderId,
    /// Which call.
    pub call: CallId,
    /// Who pays.
    pub customer: Option<UserId>,
    /// How much.
    pub amount: Money,
    /// What became of it.
    pub answer: Answer,
}

#[derive(Debug, Clone)]
struct Request {
    key: Uuid,
    order: OrderId,
    call: Call,
    sent: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Provider {
    /// By key.
    pub charges: BTreeMap<Uuid, Charge>,
    /// By key.
    pub refunds: BTreeMap<Uuid, Refund>,
    /// Told until taken.
    pub deliveries: Vec<Delivery>,
    on_the_way: Vec<Request>,
    numbers: u64,
}

/// What one exchange told.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// This is known now.
    Known(Answer),
    /// Nothing was sent; asking again at once would not help.
    NotSent,
    /// There was no answer, or it says nothing.
    Unclear,
}

/// One exchange with the provider: the request itself, or a look at what became of its key.
pub fn exchange(shared: &mut Shared, key: Uuid, order: OrderId, call: &Call, look: bool) -> Heard {
    let luck = shared.choices.pick(12);
    let look = look || *call == Call::FindCharge;
    let sent = shared.now;
    let provider = &mut shared.provider;
    let heard = match (luck, look) {
        (8, _) => Heard::NotSent,
        (9, _) => Heard::Unclear,
        (10, true) => Heard::Unclear,
        (_, true) => provider.found(key, call),
        (10, false) => {
            provider.made(key, order, call);
            Heard::Unclear
        }
        (11, false) => {
            provider.on_the_way.push(Request { key, order, call: call.clone(), sent });
            Heard::Unclear
        }
        (_, false) => provider.made(key, order, call),
    };
    shared.note(|| {
        let what = if look { "is asked about" } else { "is asked for" };
        format!("the provider {what} {}: {heard:?}", shown(order, call))
    });
    heard
}

fn shown(order: OrderId, call: &Call) -> String {
    let order = crate::shared::number(order.uuid());
    match call {
        Call::Charge(_) | Call::FindCharge => format!("the charge of {order}"),
        Call::Refund { amount, .. } => format!("a refund of {} of {order}", amount.amount()),
    }
}

impl Provider {
    /// A request that was on its way for long arrives.
    pub fn arrive(shared: &mut Shared) -> bool {
        let waiting = shared.provider.on_the_way.len();
        if waiting == 0 {
            return false;
        }
        let chosen = shared.choices.pick(waiting);
        let Request { key, order, call, .. } = shared.provider.on_the_way.remove(chosen);
        let heard = shared.provider.made(key, order, &call);
        shared.note(|| format!("the provider gets, late, a request for {}: {heard:?}", shown(order, &call)));
        true
    }

    /// What was on its way for too long is lost.
    pub fn lose_late(&mut self, now: i64) {
        self.on_the_way.retain(|request| now - request.sent < LOST_AFTER);
    }

    /// True when nobody has anything still to be told, and nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.deliveries.is_empty() && self.on_the_way.is_empty()
    }

    fn found(&self, key: Uuid, call: &Call) -> Heard {
        let answer = match call {
            Call::Refund { .. } => self.refunds.get(&key).map(|refund| done(key, refund.amount)),
            _ => self.charges.get(&key).map(|charge| answer(key, charge)),
        };
        Heard::Known(answer.unwrap_or(Answer::NeverSeen))
    }

    fn made(&mut self, key: Uuid, order: OrderId, call: &Call) -> Heard {
        match call {
            Call::Charge(terms) => self.charge(key, order, terms),
            Call::FindCharge => self.found(key, call),
            Call::Refund { id, amount, charge } => {
                self.refund(key, order, CallId::Refund(*id), *amount, charge)
            }
        }
    }

    fn charge(&mut self, key: Uuid, order: OrderId, terms: &Terms) -> Heard {
        if let Some(before) = self.charges.get(&key) {
            let same = before.amount == terms.amount;
            return if same { Heard::Known(answer(key, before)) } else { Heard::Unclear };
        }
        let (amount, customer) = (terms.amount, terms.customer);
        let charge = Charge { order, amount, taken: terms.token != DECLINED, refunded: 0, customer };
        let answer = answer(key, &charge);
        self.tell(order, CallId::Charge, Some(charge.customer), amount, answer.clone());
        self.charges.insert(key, charge);
        Heard::Known(answer)
    }

    fn refund(&mut self, key: Uuid, order: OrderId, call: CallId, amount: Money, charge: &str) -> Heard {
        if let Some(before) = self.refunds.get(&key) {
            let same = before.amount == amount && before.charge == charge;
            return if same { Heard::Known(done(key, amount)) } else { Heard::Unclear };
        }
        let refused =
            |code: &str| Heard::Known(Answer::Refused { code: code.to_owned(), detail: String::new() });
        let Some(of) = charge.parse().ok().and_then(|key: Uuid| self.charges.get_mut(&key)) else {
            return refused("resource_missing");
        };
        if !of.taken || of.refunded + amount.amount() > of.amount.amount() {
            return refused("amount_too_large");
        }
        of.refunded += amount.amount();
        self.refunds.insert(key, Refund { order, amount, charge: charge.to_owned() });
        self.tell(order, call, None, amount, done(key, amount));
        Heard::Known(done(key, amount))
    }

    fn tell(
        &mut self,
        order: OrderId,
        call: CallId,
        customer: Option<UserId>,
        amount: Money,
        answer: Answer,
    ) {
        self.numbers += 1;
        self.deliveries.push(Delivery { id: self.numbers, order, call, customer, amount, answer });
    }
}

fn answer(key: Uuid, charge: &Charge) -> Answer {
    match charge.taken {
        true => done(key, charge.amount),
        false => Answer::Refused { code: "card_declined".to_owned(), detail: String::new() },
    }
}

fn done(key: Uuid, amount: Money) -> Answer {
    Answer::Done { reference: key.to_string(), amount }
}
