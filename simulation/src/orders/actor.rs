//! One order's actor: decides with the real core, commits, and only then believes.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use uuid::Uuid;
use viscount_contracts::{Envelope, OrderId, Topic};
use viscount_orders::{
    codec,
    domain::{self, Command, Order, Policy, Rejection},
    subscription,
};

use super::tables::{Body, Change, Claim, OrderTables, look_after};
use crate::{
    defect::Defect,
    node::{At, Outcome, Progress, Service, Step},
    store::{Database, Entry, Verdict},
};

/// How often another replica may be faster.
const ROUNDS: u32 = 8;

/// The orders service.
#[derive(Debug)]
pub struct Orders;

/// What one replica has in memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// Orders in motion. `None`: not known yet, or not to be trusted.
    pub actors: BTreeMap<OrderId, Option<Order>>,
    /// Keys whose answer is in the database.
    pub known: BTreeSet<Claim>,
    /// Keys that are being worked on.
    pub under_way: BTreeSet<Claim>,
}

/// A command on its way.
#[derive(Debug, Clone)]
pub struct Work {
    /// Of which order.
    pub order: OrderId,
    /// What is asked.
    pub command: Command,
    /// Under which key.
    pub claim: Option<Claim>,
    /// What a client may hear before the commit: only with a defect.
    pub early: Option<Body>,
    fresh: bool,
    rounds: u32,
    after: Option<Order>,
}

impl Work {
    /// A command that begins.
    pub fn new(order: OrderId, command: Command, claim: Option<Claim>) -> Self {
        Self { order, command, claim, early: None, fresh: false, rounds: 0, after: None }
    }
}

/// An order as its events tell it.
pub fn replay(db: &Database<OrderTables>, id: OrderId) -> Result<Option<Order>, String> {
    let mut order = None;
    for envelope in db.stream(id.uuid(), 0) {
        let event = codec::decode(envelope).map_err(|error| error.to_string())?;
        order = domain::evolve(id, order, &event, envelope.occurred_at);
    }
    Ok(order)
}

impl Orders {
    /// The order in memory, read when it is not there. A new one is known not to be.
    fn known(at: &mut At<'_, Self>, work: &mut Work) -> Option<Order> {
        if let Some(Some(order)) = at.memory.actors.get(&work.order) {
            return Some(order.clone());
        }
        let order = replay(at.db, work.order).unwrap_or_else(|problem| {
            at.shared.violate(format!("an event of an order cannot be read: {problem}"));
            None
        });
        at.memory.actors.insert(work.order, order.clone());
        work.fresh = true;
        order
    }

    /// What is settled is mostly never asked again: its memory goes to the next order.
    fn leave(at: &mut At<'_, Self>, id: OrderId) {
        if at.memory.actors.get(&id).is_some_and(|order| order.as_ref().is_none_or(Order::is_settled)) {
            at.memory.actors.remove(&id);
        }
    }
}

impl Service for Orders {
    const TOPIC: Topic = Topic::Orders;
    const LISTENS: &'static [Topic] = &[Topic::Inventory, Topic::Payments];
    type Tables = OrderTables;
    type Change = Change;
    type Memory = Memory;
    type Work = Work;
    type Answer = Body;

    fn work(event: &Envelope) -> Result<Option<Work>, String> {
        let routed = subscription::route(event).map_err(|error| error.to_string())?;
        Ok(routed.map(|(order, command)| Work::new(order, command, None)))
    }

    fn entity(work: &Work) -> Option<Uuid> {
        Some(work.order.uuid())
    }

    fn step(at: &mut At<'_, Self>, _: u64, work: &mut Work, cause: Option<&Rc<Envelope>>) -> Step<Self> {
        let mut order = Self::known(at, work);
        let decided = loop {
            match domain::decide(order.as_ref(), work.command.clone(), Policy::default()) {
                Ok(decided) if !decided.is_empty() || work.claim.is_some() || work.fresh => break decided,
                Err(rejection) if work.fresh => {
                    Self::leave(at, work.order);
                    return Progress::Over(Outcome::Refused(rejection.to_string()));
                }
                // What is in memory may be old news, also where nothing follows from it.
                Ok(_) | Err(_) => {
                    work.fresh = true;
                    at.memory.actors.remove(&work.order);
                    order = Self::known(at, work);
                }
            }
        };
        let now = at.shared.clock(at.skew);
        let mut after = order;
        let mut events = Vec::with_capacity(decided.len());
        for event in &decided {
            after = domain::evolve(work.order, after, event, now);
            if let Some(after) = &after {
                events.push(at.shared.named(codec::encode(event, after)));
            }
        }
        let Some(after) = after else {
            return Progress::Over(Outcome::Refused(Rejection::Unknown.to_string()));
        };
        let body = Body::of(&after);
        if events.is_empty() && work.claim.is_none() {
            Self::leave(at, work.order);
            return Progress::Over(Outcome::Done(Some(body)));
        }
        if at.shared.has(Defect::AnswerBeforeCommit) {
            work.early = Some(body.clone());
        }
        if at.shared.has(Defect::BelieveEarly) {
            at.memory.actors.insert(work.order, Some(after.clone()));
        }
        let late = at.shared.has(Defect::KeyAfterCommit);
        let answer = work.claim.filter(|_| !late).map(|claim| (claim, body));
        let look_after = look_after(&after).filter(|_| !at.shared.has(Defect::DeadlineIgnored));
        work.after = Some(after.clone());
        let change = Change { after, look_after, at: at.shared.now, answer };
        Progress::Commit(Entry { events, cause: cause.cloned(), change })
    }

    fn written(at: &mut At<'_, Self>, work: &mut Work, verdict: Verdict) -> Step<Self> {
        if verdict != Verdict::Done && !at.shared.has(Defect::BelieveEarly) {
            at.memory.actors.remove(&work.order);
        }
        match verdict {
            Verdict::Done => {
                let Some(after) = work.after.take() else { return Progress::Over(Outcome::Away) };
                at.memory.actors.insert(work.order, Some(after.clone()));
                Self::leave(at, work.order);
                let body = Body::of(&after);
                if let Some(claim) = work.claim {
                    at.db.tables.answers.entry(claim).or_insert_with(|| body.clone());
                }
                Progress::Over(Outcome::Done(Some(body)))
            }
            Verdict::Conflict => {
                work.rounds += 1;
                work.fresh = true;
                if work.rounds < ROUNDS { Progress::Onward } else { Progress::Over(Outcome::Away) }
            }
            Verdict::Duplicate => {
                let order = Self::known(at, work);
                Self::leave(at, work.order);
                Progress::Over(Outcome::Done(order.as_ref().map(Body::of)))
            }
            Verdict::Refused => Progress::Over(Outcome::KeyTaken),
            Verdict::Unavailable => Progress::Over(Outcome::Away),
        }
    }

    fn fell(memory: &mut Memory, _: u64, work: &mut Work) {
        memory.actors.remove(&work.order);
    }
}
