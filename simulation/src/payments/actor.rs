//! One payment's actor: the core says what to ask, the provider answers, the core decides, and only what is committed is
//! believed. The call comes before the commit.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use uuid::Uuid;
use viscount_contracts::{Envelope, OrderId, Topic};
use viscount_payments::{
    codec,
    domain::{Answer, Call, CallId, Charge, Command, Intent, Payment, Quiet},
    subscription,
};

use super::tables::{Change, PaymentTables};
use crate::{
    defect::Defect,
    node::{At, Outcome, Progress, Service, Step},
    provider::{Delivery, Heard, exchange},
    shared::IdKind,
    store::{Database, Entry, Verdict},
};

const ROUNDS: u32 = 8;
/// How long after a cancellation a charge that the provider has never seen counts as never made.
const QUIET: Quiet = Quiet(Duration::from_secs(30));

/// The payments service.
#[derive(Debug)]
pub struct Payments;

/// What one replica has in memory: payments in motion.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<OrderId, Payment>);

/// A piece of work.
#[derive(Debug)]
pub struct Work {
    /// Of which order.
    pub order: OrderId,
    kind: Kind,
    /// Nothing can be known here yet of the order.
    fresh: bool,
    question: Option<(Call, bool)>,
    /// Its key, once it is asked.
    key: Option<Uuid>,
    answer: Option<Answer>,
    asked: bool,
    /// What is in memory was read since this was asked.
    just_read: bool,
    rounds: u32,
    after: Option<Payment>,
}

#[derive(Debug)]
enum Kind {
    Intent(Intent),
    Webhook(Box<Delivery>),
    Chase(CallId),
}

impl Work {
    fn new(order: OrderId, kind: Kind, fresh: bool) -> Self {
        let (question, key, answer, after) = (None, None, None, None);
        let (asked, just_read, rounds) = (false, false, 0);
        Self { order, kind, fresh, question, key, answer, asked, just_read, rounds, after }
    }

    /// What the provider told by itself.
    pub fn told(delivery: Delivery) -> Self {
        Self::new(delivery.order, Kind::Webhook(Box::new(delivery)), false)
    }

    /// A question whose answer is still not known.
    pub fn chase(order: OrderId, call: CallId) -> Self {
        Self::new(order, Kind::Chase(call), false)
    }

    /// A webhook may end the wait for an answer.
    pub fn hear(&mut self, told: &Delivery) {
        let waits = self.question.is_some() && self.key == Some(told.call.key(told.order));
        if waits && self.order == told.order {
            self.question = None;
            self.answer = Some(told.answer.clone());
        }
    }

    fn command(&self, give_up: bool) -> Command {
        let answer = self.answer.clone();
        match (&self.kind, answer) {
            (Kind::Intent(intent), answer) => intent.clone().with(answer),
            (Kind::Webhook(told), _) => match told.call {
                CallId::Charge => Command::ChargeAnswered {
                    customer: told.customer,
                    amount: Some(told.amount),
                    answer: told.answer.clone(),
                },
                CallId::Refund(id) => Command::RefundAnswered { id, answer: told.answer.clone() },
            },
            (Kind::Chase(_), _) if give_up => Command::GiveUp,
            (Kind::Chase(call), answer) => {
                let answer = answer.filter(|answer| *answer != Answer::NeverSeen).unwrap_or(Answer::Unknown);
                match call {
                    CallId::Charge => Command::ChargeAnswered { customer: None, amount: None, answer },
                    CallId::Refund(id) => Command::RefundAnswered { id: *id, answer },
                }
            }
        }
    }
}

/// A payment as its events tell it.
pub fn replay(db: &Database<PaymentTables>, order: OrderId) -> Result<Payment, String> {
    let events: Vec<Envelope> = db.stream(order.uuid(), 0).map(|event| Envelope::clone(event)).collect();
    codec::restore(order, &events).map_err(|error| error.to_string())
}

impl Payments {
    fn known(at: &mut At<'_, Self>, work: &mut Work) -> Payment {
        let order = work.order;
        if let Some(payment) = at.memory.0.get(&order) {
            return payment.clone();
        }
        let assumed = work.fresh && !work.asked;
        let payment = if assumed { Ok(Payment::of(order)) } else { replay(at.db, order) };
        work.just_read |= !assumed;
        let payment = payment.unwrap_or_else(|problem| {
            at.shared.violate(format!("an event of a payment cannot be read: {problem}"));
            Payment::of(order)
        });
        at.memory.0.insert(order, payment.clone());
        payment
    }

    /// What is stored, unless it was read since this was asked: nothing is left undone on old news.
    fn look(at: &mut At<'_, Self>, work: &mut Work) -> Payment {
        if !work.just_read {
            at.memory.0.remove(&work.order);
            work.fresh = false;
        }
        Self::known(at, work)
    }

    /// What is settled is mostly never asked again: its memory goes to the next payment.
    fn leave(at: &mut At<'_, Self>, order: OrderId) {
        if at.memory.0.get(&order).is_some_and(Payment::is_settled) {
            at.memory.0.remove(&order);
        }
    }

    /// One exchange with the provider. True when the answer is known, or given up for now.
    fn ask(at: &mut At<'_, Self>, work: &mut Work, call: &Call, look: bool) -> bool {
        let key = match call {
            Call::Charge(_) | Call::FindCharge => CallId::Charge.key(work.order),
            Call::Refund { id, .. } => CallId::Refund(*id).key(work.order),
        };
        let fresh = at.shared.has(Defect::FreshProviderKey) && !look;
        let key = if fresh { at.shared.id(IdKind::Request) } else { work.key.unwrap_or(key) };
        work.key = Some(key);
        let heard = exchange(at.shared, key, work.order, call, look);
        let answer = match heard {
            // Only when the provider says that it was never asked is the request sent again.
            Heard::Known(Answer::NeverSeen) if *call != Call::FindCharge => {
                work.question = Some((call.clone(), false));
                return false;
            }
            Heard::Known(answer) => answer,
            Heard::NotSent => Answer::Unknown,
            Heard::Unclear if at.shared.choices.pick(2) == 1 => Answer::Unknown,
            Heard::Unclear => {
                work.question = Some((call.clone(), true));
                return false;
            }
        };
        work.question = None;
        work.answer = Some(answer);
        true
    }
}

impl Service for Payments {
    const TOPIC: Topic = Topic::Payments;
    const LISTENS: &'static [Topic] = &[Topic::Orders];
    type Tables = PaymentTables;
    type Change = Change;
    type Memory = Memory;
    type Work = Work;
    type Answer = ();

    fn work(event: &Envelope) -> Result<Option<Work>, String> {
        let intent = subscription::route(event).map_err(|error| error.to_string())?;
        Ok(intent.map(|intent| {
            let fresh = subscription::is_fresh(event, &intent);
            Work::new(OrderId::from(event.key), Kind::Intent(intent), fresh)
        }))
    }

    fn entity(work: &Work) -> Option<Uuid> {
        Some(work.order.uuid())
    }

    fn step(at: &mut At<'_, Self>, _: u64, work: &mut Work, cause: Option<&Rc<Envelope>>) -> Step<Self> {
        let mut before = Self::known(at, work);
        if !work.asked {
            if let Kind::Chase(call) = work.kind
                && before.asks_again(call).is_none()
            {
                before = Self::look(at, work);
            }
            work.asked = true;
            work.question = match &work.kind {
                Kind::Intent(intent) => before.asks(intent).map(|call| (call, false)),
                Kind::Webhook(_) => None,
                Kind::Chase(call) => match before.asks_again(*call) {
                    Some(question) => Some((question, true)),
                    None => {
                        let closed = vec![call.key(work.order)];
                        let change = Change { closed, ..Change::default() };
                        return Progress::Commit(Entry { events: Vec::new(), cause: None, change });
                    }
                },
            };
        }
        if let Some((call, look)) = work.question.clone() {
            Self::ask(at, work, &call, look);
            return Progress::Onward;
        }
        let now = at.shared.clock(at.skew);
        let give_up = work.answer == Some(Answer::NeverSeen)
            && matches!(before.charge(), Charge::Pending { cancelled: Some(since), .. } if QUIET.is_over(*since, now));
        let mut decided = before.decide(work.command(give_up));
        if decided.is_empty() {
            before = Self::look(at, work);
            decided = before.decide(work.command(give_up));
        }
        let mut after = before.clone();
        let mut events = Vec::new();
        for event in decided {
            after.evolve(&event, now);
            events.push(at.shared.named(codec::encode(&after, after.version(), &event, now)));
        }
        let webhook = match &work.kind {
            Kind::Webhook(told) => Some(told.id),
            _ => None,
        };
        let change = Change::between(&before, &after, now, webhook);
        if events.is_empty() && cause.is_none() && change.is_empty() {
            Self::leave(at, work.order);
            return Progress::Over(Outcome::Done(None));
        }
        work.after = Some(after);
        Progress::Commit(Entry { events, cause: cause.cloned(), change })
    }

    fn written(at: &mut At<'_, Self>, work: &mut Work, verdict: Verdict) -> Step<Self> {
        if verdict != Verdict::Done {
            at.memory.0.remove(&work.order);
        }
        match verdict {
            Verdict::Done => {
                if let Some(after) = work.after.take() {
                    at.memory.0.insert(work.order, after);
                }
                Self::leave(at, work.order);
                Progress::Over(Outcome::Done(None))
            }
            Verdict::Conflict => {
                work.rounds += 1;
                if work.rounds < ROUNDS { Progress::Onward } else { Progress::Over(Outcome::Away) }
            }
            Verdict::Duplicate | Verdict::Refused => Progress::Over(Outcome::Done(None)),
            Verdict::Unavailable => Progress::Over(Outcome::Away),
        }
    }

    fn fell(memory: &mut Memory, _: u64, work: &mut Work) {
        memory.0.remove(&work.order);
    }
}
