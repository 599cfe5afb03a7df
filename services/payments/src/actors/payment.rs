//! One payment, alive. Thin: the core says what to ask, the provider answers, the core decides, and only what is
//! committed is believed.
//!
//! The call to the provider comes before the commit, and its key makes it safe to repeat: whoever dies in between is
//! followed by one who asks the same question and gets the same answer.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use metrics::counter;
use viscount_actors::{Entity, LoadError, Next, Origin, Reply};
use viscount_chassis::{
    failpoint,
    store::{CommitError, Committer, Entry, EventStore, NewEvent},
    telemetry::{TraceContext, in_trace},
};
use viscount_contracts::{EventId, Money, OrderId, UserId};

use super::chaser::Nudge;
use crate::{
    domain::{Answer, Call, CallId, Charge, Command, Event, Intent, Payment},
    metrics as names,
    provider::{EarlyAnswers, Provider},
    store::{Projection, WebhookId, codec},
};

/// What a payment needs of its surroundings.
#[derive(Clone)]
pub struct PaymentEnv(pub Arc<PaymentEnvInner>);

/// See [`PaymentEnv`].
pub struct PaymentEnvInner {
    /// Writes.
    pub committer: Committer<Projection>,
    /// Reads.
    pub store: EventStore,
    /// The provider.
    pub provider: Provider,
    /// Webhooks that come while the provider's answer is waited for.
    pub early: EarlyAnswers,
    /// Wakes the scheduler.
    pub nudge: Nudge,
    /// How long after a cancellation a charge that the provider has never seen counts as never made.
    pub cancel_quiet: Duration,
}

/// What a payment is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Something an order wants.
    Order {
        /// What it wants.
        intent: Intent,
        /// The event that says so; has its effect once.
        event: EventId,
    },
    /// Something the provider told by itself.
    Webhook {
        /// Its name; has its effect once.
        id: WebhookId,
        /// Which call it is about.
        call: CallId,
        /// Who pays, as far as the provider was told.
        customer: Option<UserId>,
        /// How much was asked for.
        amount: Money,
        /// What became of it.
        answer: Answer,
    },
    /// A question whose answer is still not known.
    Chase(CallId),
}

/// A piece of work with what belongs to it.
pub struct Request {
    /// What is to be done.
    pub work: Work,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Told when it is done, durably.
    pub reply: Reply<Result<Settled, Trouble>>,
}

/// What came of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It had its effect, now or before.
    Done,
    /// The question is still open.
    StillOpen,
}

/// Why a piece of work is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Something is away or overloaded; try again.
    #[error("not possible now: {0}")]
    Away(String),
    /// The database will never take it.
    #[error("refused by {0}")]
    Refused(String),
}

/// How often another replica may be faster before the caller is told to come again.
const ROUNDS: usize = 8;

/// See the module.
pub struct PaymentActor {
    env: PaymentEnv,
    payment: Payment,
    /// The trace that it began in: a question that is asked again, by and by, belongs there.
    trace: Option<TraceContext>,
    /// The state may not be what is stored.
    stale: bool,
    /// It was read since the next request came.
    just_read: bool,
}

impl Entity for PaymentActor {
    const KIND: &'static str = "payment";
    type Id = OrderId;
    type Env = PaymentEnv;
    type Message = Request;

    async fn load(order: OrderId, env: PaymentEnv, origin: Origin) -> Result<Self, LoadError> {
        let stale = matches!(origin, Origin::Stored);
        let mut actor = Self { env, payment: Payment::of(order), trace: None, stale, just_read: false };
        actor.refresh().await.map_err(|trouble| LoadError(trouble.to_string()))?;
        Ok(actor)
    }

    fn kind(request: &Request) -> &'static str {
        match &request.work {
            Work::Order { intent: Intent::Charge(_), .. } => "charge",
            Work::Order { intent: Intent::Refund { .. }, .. } => "refund",
            Work::Order { intent: Intent::Cancel { .. }, .. } => "cancel",
            Work::Webhook { .. } => "webhook",
            Work::Chase(_) => "chase",
        }
    }

    async fn handle(&mut self, requests: Vec<Request>) -> Next {
        for Request { work, traceparent, reply } in requests {
            self.trace = self.trace.or_else(|| TraceContext::parse(traceparent.as_deref()?));
            let traceparent = traceparent.or_else(|| Some(self.trace?.to_string()));
            let trace = traceparent.as_deref();
            let result = in_trace(trace, self.work(work, trace)).await;
            self.just_read = false;
            reply.send(result);
        }
        if self.stale {
            Next::Reload
        } else if self.payment.is_settled() {
            // Its order is mostly never heard of again: its memory goes to the next payment, now.
            Next::Stop
        } else {
            Next::Continue
        }
    }
}

/// What a step is caused by, and so has its effect once.
#[derive(Default)]
struct Cause<'a> {
    event: Option<EventId>,
    webhook: Option<WebhookId>,
    traceparent: Option<&'a str>,
}

impl PaymentActor {
    async fn work(&mut self, work: Work, traceparent: Option<&str>) -> Result<Settled, Trouble> {
        match work {
            Work::Order { intent, event } => {
                self.obey(intent, event, traceparent).await.map(|()| Settled::Done)
            }
            Work::Webhook { id, call, customer, amount, answer } => {
                let command = || match call {
                    CallId::Charge => {
                        Command::ChargeAnswered { customer, amount: Some(amount), answer: answer.clone() }
                    }
                    CallId::Refund(id) => Command::RefundAnswered { id, answer: answer.clone() },
                };
                let cause = Cause { webhook: Some(id), traceparent, ..Cause::default() };
                self.commit(|_| command(), &cause).await.map(|()| Settled::Done)
            }
            Work::Chase(call) => self.chase(call, traceparent).await,
        }
    }

    /// Does what an order wants: asks the provider when the core says so, then decides and commits.
    async fn obey(
        &mut self,
        intent: Intent,
        event: EventId,
        traceparent: Option<&str>,
    ) -> Result<(), Trouble> {
        self.refresh().await?;
        let answer = match self.payment.asks(&intent) {
            Some(call) => Some(self.ask(&call, false).await),
            None => None,
        };
        let cause = Cause { event: Some(event), traceparent, ..Cause::default() };
        self.commit(|_| intent.clone().with(answer.clone()), &cause).await
    }

    /// Asks again what is not known.
    async fn chase(&mut self, call: CallId, traceparent: Option<&str>) -> Result<Settled, Trouble> {
        self.refresh().await?;
        if self.payment.asks_again(call).is_none() && !self.just_read {
            // Another replica may have opened it: a deadline is not forgotten on old news.
            self.stale = true;
            self.refresh().await?;
        }
        let Some(question) = self.payment.asks_again(call) else {
            // Known by now; a deadline that is left over ends here.
            let forget = Projection::forget(call.key(self.payment.order()));
            let entry = Entry { events: Vec::new(), inbox: None, projection: forget };
            self.env.0.committer.commit(entry).await.map_err(away)?;
            return Ok(Settled::Done);
        };
        let mut answer = self.ask(&question, true).await;
        let mut give_up = false;
        if answer == Answer::NeverSeen {
            give_up = self.is_quiet();
            answer = Answer::Unknown;
        }
        let command = || match call {
            _ if give_up => Command::GiveUp,
            CallId::Charge => {
                Command::ChargeAnswered { customer: None, amount: None, answer: answer.clone() }
            }
            CallId::Refund(id) => Command::RefundAnswered { id, answer: answer.clone() },
        };
        let cause = Cause { traceparent, ..Cause::default() };
        self.commit(|_| command(), &cause).await?;
        let still_open = self.payment.open_calls().contains(&call);
        Ok(if still_open { Settled::StillOpen } else { Settled::Done })
    }

    /// Whether the charge of a cancelled order can no longer be on its way to the provider.
    fn is_quiet(&self) -> bool {
        match self.payment.charge() {
            Charge::Pending { cancelled: Some(since), .. } => {
                crate::domain::Quiet(self.env.0.cancel_quiet).is_over(*since, Timestamp::now())
            }
            _ => false,
        }
    }

    async fn ask(&self, call: &Call, again: bool) -> Answer {
        let order = self.payment.order();
        let question = match call {
            Call::Charge(_) | Call::FindCharge => CallId::Charge,
            Call::Refund { id, .. } => CallId::Refund(*id),
        };
        failpoint!("payments.before-provider");
        let mut early = self.env.0.early.wait(order, question);
        let provider = &self.env.0.provider;
        let asking = async {
            if again { provider.ask_again(order, call).await } else { provider.ask(order, call).await }
        };
        let answer = tokio::select! {
            biased;
            answer = asking => answer,
            told = early.told() => told,
        };
        failpoint!("payments.after-provider");
        answer
    }

    /// Decides, commits, believes. When another replica was faster: loads, and decides again.
    async fn commit(
        &mut self,
        command: impl Fn(&Payment) -> Command,
        cause: &Cause<'_>,
    ) -> Result<(), Trouble> {
        for _ in 0..ROUNDS {
            self.refresh().await?;
            let events = self.payment.decide(command(&self.payment));
            if events.is_empty() && !self.just_read {
                // Nothing would be committed whose version conflicts: it is not decided on old news.
                self.stale = true;
                continue;
            }
            let declined = events.iter().find_map(|event| match event {
                Event::Failed { code, .. } => Some(code.clone()),
                _ => None,
            });
            let (after, entry) = self.foresee(events, cause);
            if entry.inbox.is_none() && entry.projection.is_empty() {
                return Ok(());
            }
            let opens = entry.projection.opens();
            let kinds: Vec<_> = entry.events.iter().map(|event| event.kind).collect();
            match self.env.0.committer.commit(entry).await {
                Ok(_) => {
                    self.payment = after;
                    for kind in kinds {
                        counter!(names::OUTCOMES, "kind" => kind).increment(1);
                    }
                    if let Some(code) = declined {
                        names::declined(&code);
                    }
                    if opens {
                        self.env.0.nudge.wake();
                    }
                    return Ok(());
                }
                Err(CommitError::Conflict) => self.stale = true,
                // It has had its effect; whose incarnation did that does not matter.
                Err(CommitError::Duplicate) => {
                    self.stale = true;
                    return Ok(());
                }
                Err(CommitError::Refused { constraint })
                    if cause.webhook.is_some()
                        && (constraint.is_empty() || constraint == "webhook_events_once") =>
                {
                    self.stale = true;
                    return Ok(());
                }
                Err(CommitError::Refused { constraint }) => {
                    self.stale = true;
                    return Err(Trouble::Refused(constraint));
                }
                Err(CommitError::Overloaded) => return Err(away(CommitError::Overloaded)),
                Err(CommitError::Unavailable) => {
                    self.stale = true;
                    return Err(away(CommitError::Unavailable));
                }
            }
        }
        Err(away(CommitError::Conflict))
    }

    /// The payment as it will be, and what is to be written for that.
    fn foresee(&self, decided: Vec<Event>, cause: &Cause<'_>) -> (Payment, Entry<Projection>) {
        let now = Timestamp::now();
        let mut after = self.payment.clone();
        let events: Vec<(Event, NewEvent)> = decided
            .into_iter()
            .map(|event| {
                after.evolve(&event, now);
                let stored = codec::encode(&after, after.version(), &event, now)
                    .traced(cause.traceparent.map(str::to_owned));
                (event, stored)
            })
            .collect();
        let projection = Projection::of(&self.payment, &after, &events, now).caused_by(cause.webhook.clone());
        let events = events.into_iter().map(|(_, stored)| stored).collect();
        (after, Entry { events, inbox: cause.event, projection })
    }

    async fn refresh(&mut self) -> Result<(), Trouble> {
        if self.stale {
            let order = self.payment.order();
            let events = self.env.0.store.stream(order.uuid(), 0).await;
            let events = events.map_err(|error| Trouble::Away(error.to_string()))?;
            self.payment =
                codec::restore(order, &events).map_err(|error| Trouble::Away(error.to_string()))?;
            self.trace = events.first().and_then(|first| TraceContext::parse(first.traceparent.as_deref()?));
            self.stale = false;
            self.just_read = true;
        }
        Ok(())
    }
}

fn away(error: CommitError) -> Trouble {
    Trouble::Away(error.to_string())
}
