//! One order, alive. Thin: it decides with the pure core, commits, and only then believes.
//!
//! A panic here loses this incarnation and nothing else: the next one is loaded from the store. A version conflict
//! (another replica was faster) loads again and decides again; it is not an error.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use viscount_actors::{Entity, LoadError, Next, Origin, Reply};
use viscount_chassis::{
    idempotency::{self, Claim, StoredAnswer},
    store::{CommitError, Committer, Entry, EventStore, NewEvent},
    telemetry::{TraceContext, in_trace},
};
use viscount_contracts::{EventId, OrderId};

use crate::{
    domain::{self, Command, Order, Policy, Rejection, Status},
    store::{self, Projection, Row},
    view::OrderView,
};

/// How long the waiting states may wait.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For inventory's answer.
    pub stock: Duration,
    /// For payment's answer.
    pub payment: Duration,
}

/// What an order needs of its surroundings.
#[derive(Clone)]
pub struct Env(pub Arc<EnvInner>);

/// See [`Env`].
pub struct EnvInner {
    /// Writes.
    pub committer: Committer<Projection>,
    /// Reads.
    pub store: EventStore,
    /// What the house has decided.
    pub policy: Policy,
    /// How long to wait.
    pub deadlines: Deadlines,
}

/// A command with what belongs to it.
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// The event of another service that brings it.
    pub cause: Option<EventId>,
    /// The key under which the answer is remembered, with the status to remember.
    pub claim: Option<(Claim, u16)>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Where the answer goes.
    pub reply: Reply<Result<Told, Refusal>>,
}

/// The order after a command.
#[derive(Debug, Clone)]
pub struct Told {
    /// As it is now.
    pub order: Order,
    /// With a claim: the answer that is remembered under its key, to be given byte for byte.
    pub body: Option<Bytes>,
}

/// Why there is no order to show.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The order says no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The commit did not happen, or nobody knows.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The key has an answer already.
    #[error("the key has an answer already")]
    KeyTaken,
    /// The store could not be read.
    #[error("the store cannot be read: {0}")]
    Store(String),
}

/// How often another replica may be faster before the caller is told to come again.
const ROUNDS: usize = 8;

/// How soon the deadlines look at an order for the first time, mostly to find that nothing needs them any more.
const FIRST_LOOK: Duration = Duration::from_secs(20);

/// See the module.
pub struct OrderActor {
    id: OrderId,
    env: Env,
    order: Option<Order>,
    /// The trace that it was created in: what nobody asks for, such as a deadline's command, belongs there.
    trace: Option<TraceContext>,
    /// What is in memory was read since the next request came.
    just_read: bool,
}

impl Entity for OrderActor {
    const KIND: &'static str = "order";
    type Id = OrderId;
    type Env = Env;
    type Message = Request;

    async fn load(id: OrderId, env: Env, origin: Origin) -> Result<Self, LoadError> {
        let mut actor = Self { id, env, order: None, trace: None, just_read: false };
        if matches!(origin, Origin::Stored) {
            actor.reload().await.map_err(|refusal| LoadError(refusal.to_string()))?;
        }
        Ok(actor)
    }

    fn kind(request: &Request) -> &'static str {
        request.command.name()
    }

    async fn handle(&mut self, requests: Vec<Request>) -> Next {
        let mut next = Next::Continue;
        for request in requests {
            let Request { command, cause, claim, traceparent, reply } = request;
            if next == Next::Reload {
                match self.reload().await {
                    Ok(()) => next = Next::Continue,
                    Err(refusal) => {
                        reply.send(Err(refusal));
                        continue;
                    }
                }
            }
            self.trace = self.trace.or_else(|| TraceContext::parse(traceparent.as_deref()?));
            let traceparent = traceparent.or_else(|| Some(self.trace?.to_string()));
            let trace = traceparent.as_deref();
            let answer = in_trace(trace, self.obey(command, cause, claim, trace)).await;
            self.just_read = false;
            if let Err(Refusal::Commit(_) | Refusal::Store(_)) = answer {
                next = Next::Reload;
            }
            reply.send(answer);
        }
        // What is settled is mostly never asked again: its memory goes to the next order, now.
        match next {
            Next::Continue if self.order.as_ref().is_some_and(Order::is_settled) => Next::Stop,
            next => next,
        }
    }
}

impl OrderActor {
    async fn obey(
        &mut self,
        command: Command,
        cause: Option<EventId>,
        claim: Option<(Claim, u16)>,
        traceparent: Option<&str>,
    ) -> Result<Told, Refusal> {
        let mut fresh = std::mem::take(&mut self.just_read);
        for _ in 0..ROUNDS {
            let decided = match domain::decide(self.order.as_ref(), command.clone(), self.env.0.policy) {
                Ok(decided) => decided,
                Err(rejection) if fresh => return Err(rejection.into()),
                // What is in memory may be old news: another replica may have gone on.
                Err(_) => {
                    self.reload().await?;
                    fresh = true;
                    continue;
                }
            };
            // Neither is nothing done on old news: where nothing is committed, no version would conflict. What another
            // replica was asked to return would never be known to be back.
            if decided.is_empty() && claim.is_none() && !fresh {
                self.reload().await?;
                fresh = true;
                continue;
            }
            let (events, after) = self.foresee(&decided, traceparent);
            let Some(after) = after else { return Err(Rejection::Unknown.into()) };
            if events.is_empty() && claim.is_none() {
                return Ok(Told { order: after, body: None });
            }
            let is_new = self.order.is_none();
            let view = (is_new || claim.is_some()).then(|| OrderView::from(&after));
            let body = view
                .as_ref()
                .filter(|_| claim.is_some())
                .map(|view| Bytes::from(serde_json::to_vec(view).unwrap_or_default()));
            let answer = claim.as_ref().zip(body.clone()).map(|((claim, status), body)| StoredAnswer {
                claim: claim.clone(),
                status: *status,
                location: is_new.then(|| format!("/v1/orders/{}", self.id)),
                body,
            });
            let row = Row {
                lines: view.filter(|_| is_new).map(|view| view.lines),
                look_after: self.look_after(&after),
                order: after.clone(),
            };
            let projection = Projection::Order { row: Box::new(row), answer };
            let entry = Entry { events, inbox: cause, projection };
            match self.env.0.committer.commit(entry).await {
                Ok(_) => {
                    crate::metrics::went_on(self.order.as_ref(), &after, traceparent);
                    self.order = Some(after.clone());
                    return Ok(Told { order: after, body });
                }
                Err(CommitError::Conflict) => {
                    self.reload().await?;
                    fresh = true;
                }
                Err(CommitError::Duplicate) => {
                    self.reload().await?;
                    let order = self.order.clone().ok_or(Rejection::Unknown)?;
                    return Ok(Told { order, body: None });
                }
                Err(CommitError::Refused { constraint })
                    if claim.is_some()
                        && (constraint.is_empty() || constraint == idempotency::CONSTRAINT) =>
                {
                    return Err(Refusal::KeyTaken);
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// The order as it will be, and its events as they will be stored.
    fn foresee(
        &self,
        decided: &[domain::Event],
        traceparent: Option<&str>,
    ) -> (Vec<NewEvent>, Option<Order>) {
        let now = viscount_chassis::store::now();
        let mut after = self.order.clone();
        let mut events = Vec::with_capacity(decided.len());
        for event in decided {
            after = domain::evolve(self.id, after, event, now);
            if let Some(after) = &after {
                events.push(store::encode(event, after).traced(traceparent.map(str::to_owned)));
            }
        }
        (events, after)
    }

    /// Reads the order as it is stored.
    async fn reload(&mut self) -> Result<(), Refusal> {
        let envelopes = self.env.0.store.stream(self.id.uuid(), 0).await;
        let envelopes = envelopes.map_err(|error| Refusal::Store(error.to_string()))?;
        let mut order = None;
        for envelope in &envelopes {
            let event = store::decode(envelope).map_err(|error| Refusal::Store(error.to_string()))?;
            order = domain::evolve(self.id, order, &event, envelope.occurred_at);
        }
        self.order = order;
        self.just_read = true;
        self.trace = envelopes.first().and_then(|first| TraceContext::parse(first.traceparent.as_deref()?));
        Ok(())
    }

    /// How long from now the deadlines have to look at the order that is committed. One look is promised with the first
    /// commit, and may have been put off by now to the end of the wait for stock; another only where what the order waits
    /// for since may be due before that.
    fn look_after(&self, order: &Order) -> Option<Duration> {
        let deadlines = &self.env.0.deadlines;
        match order.status {
            Status::Created => Some(FIRST_LOOK.min(deadlines.stock)),
            Status::Validated => Some(deadlines.payment).filter(|payment| *payment < deadlines.stock),
            _ => None,
        }
    }
}
