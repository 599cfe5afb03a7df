//! Why is this order not finished?
//!
//! The view of workflows says what an order waits for. What could explain that it does not come is asked from the services
//! on its way, all at once and each within a second (`/v1/ops/explain`). What they say is judged by rules ([`causes`]), the
//! certain first. A service that does not answer is a cause itself.

mod ask;
mod causes;
mod peers;
mod words;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;
use viscount_chassis::{explain::Explain, problem::Problem};

pub use causes::Cause;
pub use peers::Peers;

use self::{
    ask::{Asker, Told},
    causes::Case,
};
use crate::workflows::{self, Moment, Patience, What};

/// The services on an order's way.
pub const ON_THE_WAY: [&str; 3] = ["orders", "inventory", "payments"];

/// What can be said of an order.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OrderExplanation)]
pub struct Why {
    /// The order.
    pub order_id: Uuid,
    /// Its status.
    pub status: String,
    /// True when nothing more will happen by itself.
    pub finished: bool,
    /// The trace that began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// What could explain that it does not come, the most certain first. Empty when the order is finished.
    pub causes: Vec<Cause>,
    /// What happened, oldest first.
    pub timeline: Vec<Moment>,
}

/// What an order waits for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = OrderWait)]
pub struct WaitsFor {
    /// What.
    pub what: What,
    /// The same, for people.
    pub words: &'static str,
    /// Who has to act.
    pub service: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When the order cancels itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// For how long it has waited, in seconds.
    pub seconds: f64,
}

/// Answers the question.
pub struct Explainer {
    pool: PgPool,
    patience: Patience,
    peers: Peers,
    asker: Asker,
    /// What coordination itself can say: it may be behind.
    own: Explain,
}

impl Explainer {
    /// With the view in this database.
    pub fn new(
        pool: PgPool,
        patience: Patience,
        peers: Peers,
        own: Explain,
    ) -> Result<Arc<Self>, reqwest::Error> {
        Ok(Arc::new(Self { pool, patience, peers, asker: Asker::new()?, own }))
    }

    /// Why this order is not finished. `authorization` is the caller's own, passed on to the services.
    pub async fn why(&self, order: Uuid, authorization: &str) -> Result<Why, Problem> {
        let (workflow, answers, own) = futures_util::join!(
            workflows::find(&self.pool, order),
            self.ask(order, authorization),
            self.own.explanation(crate::NAME, order),
        );
        let workflow = workflow?.filter(|workflow| workflow.status_name() != "unknown");
        let now = Timestamp::now();
        let said = answers.iter().find_map(Told::order);
        // What orders says is what is; the view may be a moment behind.
        let view_is_behind = match (&workflow, &said) {
            (Some(workflow), Some(said)) => !said.agrees(workflow),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let (status, what, since, until) = match (&workflow, said) {
            (Some(workflow), said) if !view_is_behind => {
                let until = said.and_then(|said| said.until).or(workflow.due(&self.patience));
                (workflow.status_name().to_owned(), workflow.waits_for(), workflow.since, until)
            }
            (_, Some(said)) => (said.status.to_owned(), said.waits_for(), said.since, said.until),
            (_, None) => return Err(self.unknown(&answers)),
        };
        let waits_for = what.map(|what| WaitsFor {
            what,
            words: what.words(),
            service: what.service(),
            since,
            until,
            seconds: now.duration_since(since).as_secs_f64().max(0.0),
        });
        let timeline = workflow.as_ref().map(|workflow| workflow.timeline()).unwrap_or_default();
        let trace_id = workflow.and_then(|workflow| workflow.trace.map(|trace| trace.simple().to_string()));
        let causes = match &waits_for {
            None => Vec::new(),
            Some(wait) => {
                let own = view_is_behind.then_some(&own);
                Case { order, wait, timeline: &timeline, answers: &answers, own, now }.causes()
            }
        };
        Ok(Why {
            order_id: order,
            status,
            finished: waits_for.is_none(),
            trace_id,
            waits_for,
            causes,
            timeline,
        })
    }

    /// Nobody knows it, or who might does not answer.
    fn unknown(&self, answers: &[Told]) -> Problem {
        let orders_answers = answers.iter().any(|told| told.service == "orders" && told.answer.is_ok());
        match orders_answers {
            true => Problem::not_found("order"),
            false => Problem::unavailable(
                "the view of workflows has not seen this order, and orders does not answer",
                std::time::Duration::from_secs(2),
            ),
        }
    }

    async fn ask(&self, order: Uuid, authorization: &str) -> Vec<Told> {
        let mut answers = Vec::new();
        let each = ON_THE_WAY.map(|service| async move {
            match self.peers.of(&self.pool, service).await {
                peers if peers.is_empty() => vec![Told::nobody(service)],
                peers => {
                    let asking =
                        peers.into_iter().map(|peer| self.asker.ask(service, peer, order, authorization));
                    futures_util::future::join_all(asking).await
                }
            }
        });
        for told in futures_util::future::join_all(each).await {
            answers.extend(told);
        }
        answers
    }
}

/// A moment so many seconds ago.
fn ago(now: Timestamp, seconds: f64) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}
