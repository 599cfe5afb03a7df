//! From evidence to causes. Pure.
//!
//! What an order waits for names the way that an event takes: who publishes it, and who has to handle it. Only what lies on
//! that way counts. What is certain comes first: a service that is down, an event that was given up, a breaker that is
//! open; then what makes it likely: an actor that is down, publishing that has stalled, a consumer that is behind.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use viscount_chassis::explain::{ActorEvidence, ConsumerEvidence, Explanation, Note};

use super::{WaitsFor, ago, ask::Told, words};
use crate::workflows::{Moment, What};

/// How much a consumer's place may be behind what it has done, in seconds: places are saved now and then.
const SLACK: f64 = 0.5;

/// Actors that every event goes through, besides its consumer.
const ESSENTIAL: [&str; 8] = [
    "boot",
    "committer",
    "order",
    "stock",
    "payment",
    "read-balances",
    "read-reservations",
    "chase-open-calls",
];

/// Routers whose entities serve many orders: one that is not the order's own may be what it waits for.
const SHARED: [&str; 1] = ["stock"];

/// A sort of cause, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderCauseKind)]
pub enum CauseKind {
    /// Somebody outside the platform has to act.
    ExternalFulfilment,
    /// A service on the way does not answer.
    ServiceDown,
    /// The order's own actor fell too often, and is kept down until somebody releases it.
    ActorQuarantined,
    /// The event that the order waits for was given up.
    DeadLetter,
    /// The event waits behind one of the same order that was given up.
    ParkedKey,
    /// Nothing is sent to the payment provider at the moment.
    BreakerOpen,
    /// The provider was asked, and what came of it is not known.
    ProviderUnknownOutcome,
    /// An actor on the way fell, and waits.
    ActorBackingOff,
    /// An actor on the way makes no progress.
    ActorStuck,
    /// What is committed does not get out.
    RelayStalled,
    /// The event waits behind others.
    ConsumerLag,
    /// Nothing that was looked at explains it.
    NoneFound,
}

/// What could explain that an order does not go on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OrderCause)]
pub struct Cause {
    /// What it is, for programs.
    pub kind: CauseKind,
    /// Where.
    pub service: String,
    /// Which instance, when one alone is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What it is, and what to do, for people.
    pub detail: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// What was seen.
    #[schema(value_type = Object)]
    pub evidence: Value,
}

/// Everything that is known.
pub(super) struct Case<'a> {
    pub order: Uuid,
    pub wait: &'a WaitsFor,
    pub timeline: &'a [Moment],
    pub answers: &'a [Told],
    /// What coordination says of itself, when its view is behind.
    pub own: Option<&'a Explanation>,
    pub now: Timestamp,
}

/// A service, a router, an id: `orders/order/01a1ffac-79a6-7407-b470-fabe9000b970`.
fn is_entity(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|last| Uuid::try_parse(last).is_ok())
}

fn is_shared(path: &str) -> bool {
    path.rsplit('/').nth(1).is_some_and(|router| SHARED.contains(&router))
}

/// The way of the event that an order waits for.
#[derive(Debug, Clone, Copy)]
struct Way {
    from: &'static str,
    to: &'static str,
    /// True when the one at the end answers, and its answer may be on the way back.
    answers: bool,
}

impl What {
    const fn way(self) -> Way {
        match self {
            What::StockReservation => Way { from: "orders", to: "inventory", answers: true },
            What::StockAnswer => Way { from: "inventory", to: "orders", answers: false },
            What::Payment | What::Refund => Way { from: "orders", to: "payments", answers: true },
            What::PaymentAnswer => Way { from: "payments", to: "orders", answers: false },
            What::Fulfilment => Way { from: "orders", to: "orders", answers: false },
        }
    }
}

impl Case<'_> {
    /// What could explain it, the most certain first; never empty.
    pub fn causes(&self) -> Vec<Cause> {
        let way = self.wait.what.way();
        let mut causes = Vec::new();
        for told in self.answers.iter().filter(|told| told.service == way.from || told.service == way.to) {
            match &told.answer {
                Err(problem) => causes.push(self.down(told, problem)),
                Ok(explanation) => self.judge(way, told, explanation, &mut causes),
            }
        }
        causes.extend(self.own.and_then(|own| self.behind_itself(own)));
        if causes.is_empty() {
            causes.push(self.nothing());
        }
        // Stable: the end of the way has its place among equals.
        causes.sort_by_key(|cause| (cause.kind, cause.service != way.to));
        causes.dedup_by(|a, b| {
            a.kind == b.kind && a.service == b.service && a.instance == b.instance && a.detail == b.detail
        });
        causes
    }

    fn judge(&self, way: Way, told: &Told, explanation: &Explanation, causes: &mut Vec<Cause>) {
        let is_end = told.service == way.to;
        if self.wait.what == What::Fulfilment {
            causes.extend(explanation.notes.iter().filter(|note| note.kind == "external_fulfilment").map(
                |note| {
                    self.cause(
                        CauseKind::ExternalFulfilment,
                        told,
                        words::fulfilment(),
                        note.since,
                        json!(note),
                    )
                },
            ));
            return;
        }
        if is_end {
            let from = format!("{}.events.v1", way.from);
            for consumer in explanation.consumers.iter().filter(|consumer| consumer.topic == from) {
                causes.extend(self.parked(told, consumer));
                causes.extend(self.lag(told, consumer, way.from));
            }
            causes.extend(explanation.actors.iter().filter_map(|actor| self.actor(told, way, actor)));
            if matches!(self.wait.what, What::Payment | What::Refund) {
                self.provider(told, explanation, causes);
            }
        }
        let publishes = told.service == way.from || way.answers && is_end;
        if let Some(relay) = explanation.relay.as_ref().filter(|relay| publishes && relay.stalled) {
            let since = ago(self.now, relay.lag_seconds);
            let detail = words::relay(told.service, relay);
            causes.push(self.cause(CauseKind::RelayStalled, told, detail, since, json!(relay)));
        }
    }

    fn down(&self, told: &Told, problem: &str) -> Cause {
        let others = self.answers.iter().any(|other| other.service == told.service && other.answer.is_ok());
        let detail = words::down(told.service, problem, others);
        self.cause(
            CauseKind::ServiceDown,
            told,
            detail,
            None,
            json!({ "problem": problem, "others_answer": others }),
        )
    }

    fn parked(&self, told: &Told, consumer: &ConsumerEvidence) -> Option<Cause> {
        let parked = consumer.parked.as_ref()?;
        let kind = if parked.behind > 0 { CauseKind::ParkedKey } else { CauseKind::DeadLetter };
        let detail = words::parked(told.service, parked);
        Some(self.cause(kind, told, detail, Some(parked.since), json!(consumer)))
    }

    /// The event is behind the group's place when the oldest that waits there is at least as old.
    fn lag(&self, told: &Told, consumer: &ConsumerEvidence, from: &str) -> Option<Cause> {
        let last = self.timeline.iter().rev().find(|moment| moment.service == from).map(|moment| moment.at);
        let age = self.now.duration_since(last.unwrap_or(self.wait.since)).as_secs_f64();
        let is_behind = consumer.parked.is_none()
            && consumer.lag_events > 0
            && consumer.lag_seconds >= SLACK
            && consumer.lag_seconds + SLACK >= age;
        let since = ago(self.now, consumer.lag_seconds);
        let detail = || words::lag(told.service, consumer);
        is_behind.then(|| self.cause(CauseKind::ConsumerLag, told, detail(), since, json!(consumer)))
    }

    /// An actor is on the way when everything goes through it, or when it is the order's own.
    fn actor(&self, told: &Told, way: Way, actor: &ActorEvidence) -> Option<Cause> {
        let own = actor.path.ends_with(&self.order.to_string());
        let name = actor.path.rsplit('/').next().unwrap_or_default();
        let consumes = actor.path.ends_with(&format!("/consume-{}", way.from));
        let kind = match actor.state.as_str() {
            "quarantined" if own => CauseKind::ActorQuarantined,
            "quarantined" => return None,
            // A thread that does not come back is everybody's.
            "stuck" if own || !is_entity(&actor.path) || is_shared(&actor.path) => CauseKind::ActorStuck,
            "stuck" | "fallen" if !own => return None,
            // Other tasks are beside the way.
            "backing_off" | "down" | "failed" if !consumes && !ESSENTIAL.contains(&name) => return None,
            _ => CauseKind::ActorBackingOff,
        };
        let detail = words::actor(told.service, self.order, actor);
        Some(self.cause(kind, told, detail, actor.since, json!(actor)))
    }

    fn provider(&self, told: &Told, explanation: &Explanation, causes: &mut Vec<Cause>) {
        for breaker in explanation.breakers.iter().filter(|breaker| breaker.state != "closed") {
            let detail = words::breaker(breaker);
            causes.push(self.cause(CauseKind::BreakerOpen, told, detail, None, json!(breaker)));
        }
        for note in explanation.notes.iter().filter(|note| note.kind == "provider_unknown_outcome") {
            let detail = words::unknown_outcome(note);
            causes.push(self.cause(CauseKind::ProviderUnknownOutcome, told, detail, note.since, json!(note)));
        }
    }

    /// The view itself has not heard of what orders says.
    fn behind_itself(&self, own: &Explanation) -> Option<Cause> {
        let consumer = own.consumers.iter().find(|it| it.topic == "orders.events.v1" && it.lag_events > 0)?;
        Some(Cause {
            kind: CauseKind::ConsumerLag,
            service: crate::NAME.to_owned(),
            instance: None,
            detail: words::view(consumer),
            since: ago(self.now, consumer.lag_seconds),
            evidence: json!(consumer),
        })
    }

    fn nothing(&self) -> Cause {
        let notes: Vec<(&str, &Note)> = self
            .answers
            .iter()
            .filter_map(|told| told.answer.as_ref().ok().map(|answer| (told.service, answer)))
            .flat_map(|(service, answer)| answer.notes.iter().map(move |note| (service, note)))
            .collect();
        Cause {
            kind: CauseKind::NoneFound,
            service: self.wait.service.to_owned(),
            instance: None,
            detail: words::nothing(self.wait.seconds),
            since: None,
            evidence: json!({
                "notes": notes.iter().map(|(service, note)| json!({ "service": service, "note": note })).collect::<Vec<_>>()
            }),
        }
    }

    fn cause(
        &self,
        kind: CauseKind,
        told: &Told,
        detail: String,
        since: Option<Timestamp>,
        evidence: Value,
    ) -> Cause {
        let (service, instance) = (told.service.to_owned(), told.instance.clone());
        Cause { kind, service, instance, detail, since, evidence }
    }
}

#[cfg(test)]
mod tests;
