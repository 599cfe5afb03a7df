//! A workflow as operators see it: what it waits for, since when, until when, and whether that is too long.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    fold::{TOPICS, Workflow},
    kind::{Status, is_answer},
    timeline,
};

/// How long which wait may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From when on a workflow counts as stuck.
    pub stuck_after: Duration,
    /// How long orders wait for inventory.
    pub stock: Duration,
    /// How long orders wait for payments.
    pub payment: Duration,
}

/// What an order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderWaitsFor)]
pub enum What {
    /// That inventory reserves its lines.
    StockReservation,
    /// That inventory's answer, which is published, reaches orders.
    StockAnswer,
    /// That payments takes the money.
    Payment,
    /// That payments' answer, which is published, reaches orders.
    PaymentAnswer,
    /// That whoever fulfils orders says that it is complete.
    Fulfilment,
    /// That payments returns money.
    Refund,
}

impl What {
    /// Who has to act.
    pub const fn service(self) -> &'static str {
        match self {
            What::StockReservation => "inventory",
            What::StockAnswer | What::PaymentAnswer => "orders",
            What::Payment | What::Refund => "payments",
            What::Fulfilment => "fulfilment",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            What::StockReservation => "inventory to reserve its lines",
            What::StockAnswer => "inventory's answer to reach orders",
            What::Payment => "payments to take the money",
            What::PaymentAnswer => "payments' answer to reach orders",
            What::Fulfilment => "whoever fulfils orders to say that it is complete",
            What::Refund => "payments to return money",
        }
    }
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WorkflowState)]
pub enum State {
    /// It waits for something, and not for long.
    Running,
    /// It has waited for too long.
    Stuck,
    /// Nothing more will happen by itself.
    Finished,
}

/// One workflow.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Workflow)]
pub struct View {
    /// The order.
    pub order_id: Uuid,
    /// Whether it goes on.
    pub state: State,
    /// The order's status.
    pub status: &'static str,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<What>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub waiting_since: Option<Timestamp>,
    /// When the order cancels itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// When its first event happened.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When its last event happened.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// How many events it has had, of all services.
    pub events: usize,
    /// The trace that began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// One event of a timeline.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = WorkflowEvent)]
pub struct Moment {
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who said so.
    pub service: &'static str,
    /// What, such as `OrderCreated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of its stream.
    pub version: i32,
    /// The event.
    pub event_id: Uuid,
    /// The trace of what caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Workflow {
    /// What it waits for.
    pub fn waits_for(&self) -> Option<What> {
        let [_, inventory, payments] = self.answers;
        Some(match self.status {
            Status::Created if is_answer(inventory) => What::StockAnswer,
            Status::Created => What::StockReservation,
            Status::Validated if is_answer(payments) => What::PaymentAnswer,
            Status::Validated => What::Payment,
            Status::Paid => What::Fulfilment,
            _ if self.refunds > 0 => What::Refund,
            _ => return None,
        })
    }

    /// When the order cancels itself.
    pub fn due(&self, patience: &Patience) -> Option<Timestamp> {
        let longest = match self.status {
            Status::Created => patience.stock,
            Status::Validated => patience.payment,
            _ => return None,
        };
        self.since.checked_add(SignedDuration::try_from(longest).ok()?).ok()
    }

    /// The order's status as the API of orders names it.
    pub fn status_name(&self) -> &'static str {
        match self.status {
            Status::Unknown => "unknown",
            Status::Created => "created",
            Status::Validated => "validated",
            Status::Paid => "paid",
            Status::Completed if self.refunded == 0 => "completed",
            Status::Completed if self.total.is_some_and(|total| self.refunded >= total) => "refunded",
            Status::Completed => "partially_refunded",
            Status::Rejected => "rejected",
            Status::Cancelled => "cancelled",
        }
    }

    /// As operators see it at this moment.
    pub fn view(&self, patience: &Patience, now: Timestamp) -> View {
        let waits_for = self.waits_for();
        let waited = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        let due = self.due(patience);
        let state = match waits_for {
            None => State::Finished,
            Some(_) if waited > patience.stuck_after || due.is_some_and(|due| due < now) => State::Stuck,
            Some(_) => State::Running,
        };
        View {
            order_id: self.order,
            state,
            status: self.status_name(),
            waits_for,
            waiting_since: waits_for.map(|_| self.since),
            due_at: due,
            started_at: self.started,
            updated_at: self.updated,
            events: self.timelines.iter().map(|bytes| timeline::read(bytes).len()).sum(),
            trace_id: self.trace.map(trace_text),
        }
    }

    /// What happened, oldest first.
    pub fn timeline(&self) -> Vec<Moment> {
        let mut moments: Vec<Moment> = Vec::new();
        for (topic, bytes) in TOPICS.iter().zip(&self.timelines) {
            moments.extend(timeline::read(bytes).into_iter().map(|entry| Moment {
                at: entry.at,
                service: topic.service(),
                kind: entry.kind.name.into_owned(),
                version: entry.version,
                event_id: entry.event,
                trace_id: entry.trace.map(trace_text),
            }));
        }
        // Stable: events of one service keep their order.
        moments.sort_by_key(|moment| moment.at);
        moments
    }
}

fn trace_text(trace: Uuid) -> String {
    trace.simple().to_string()
}
