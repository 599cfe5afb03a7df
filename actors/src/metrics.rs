//! The names of what is measured. Labels are the service, the actor's static name and a reason; never an id.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::metric::{Label, SERVICE};

/// The actor that measures.
const ACTOR: Label = Label("actor", "the static name of an actor; all entities of a kind share one");
/// Why an incarnation ended.
const EXIT: Label = Label(
    "reason",
    "`panicked`, `overdue`, `failed`, `escalated`, `normal`, `passivated` or `stopped`: how the incarnation ended",
);

crate::list_metrics! {
    RESTARTS_TOTAL = counter("actor_restarts_total", [SERVICE, ACTOR, EXIT], "Restarts, by how the incarnation before ended.");
    ESCALATIONS_TOTAL = counter("actor_escalations_total", [SERVICE, ACTOR],
        "Supervisors that gave up, and entities that were quarantined for falling too often.");
    UP = gauge("actor_up", [SERVICE, ACTOR], "1 while an incarnation of the actor runs, else 0.");
    RESTART_BACKOFF_SECONDS = gauge("actor_restart_backoff_seconds", [SERVICE, ACTOR],
        "The pause that was chosen before the latest restart.");
    RESTART_BUDGET_REMAINING = gauge("actor_restart_budget_remaining", [SERVICE, ACTOR],
        "How many restarts the supervisor of this name may still have in its window.");
    RECOVERY_SECONDS = histogram("actor_recovery_seconds", [SERVICE, ACTOR],
        "From the fall of an incarnation to the next one being up (an entity: loaded).");
    MAILBOX_DEPTH = gauge("actor_mailbox_depth", [SERVICE, ACTOR], "Messages accepted and not yet finished.");
    MAILBOX_REJECTED_TOTAL = counter("actor_mailbox_rejected_total",
        [SERVICE, ACTOR, Label("reason", "`overloaded`, `quarantined`, `stopping` or `unavailable`")],
        "Messages refused.");
    MAILBOX_WAIT_SECONDS = histogram("actor_mailbox_wait_seconds", [SERVICE, ACTOR],
        "How long the oldest message of a batch waited.");
    HANDLE_SECONDS = histogram("actor_handle_seconds", [SERVICE, ACTOR], "How long a batch of messages took.");
    MESSAGES_LOST_TOTAL = counter("actor_messages_lost_total",
        [SERVICE, ACTOR, Label("reason", "`panicked`, `timed_out`, `dropped`, `unavailable`, `overloaded` or `stopping`")],
        "Accepted messages that ended without being answered by a handler.");
    LIVE = gauge("actor_live", [SERVICE, Label("kind", "the kind of entity: `order`, `payment`, …")], "Entities alive.");
    PASSIVATIONS_TOTAL = counter("actor_passivations_total", [SERVICE, ACTOR], "Entities put to rest.");
    STUCK_TOTAL = counter("actor_stuck_total",
        [SERVICE, ACTOR, Label("reason", "`blocked`: it keeps its thread; `waiting`: it waits for something")],
        "Times that an actor was found without progress.");
    TICKS_SKIPPED_TOTAL = counter("actor_ticks_skipped_total", [SERVICE, ACTOR],
        "Ticks of timers that found no room in the mailbox.");
    QUARANTINED = gauge("actor_quarantined", [SERVICE, Label("kind", "the kind of entity: `order`, `payment`, …")],
        "Entities that fell too often and wait to be released.");
    QUARANTINE_FORGIVEN_TOTAL = counter("actor_quarantine_forgiven_total",
        [SERVICE, Label("kind", "the kind of entity: `order`, `payment`, …")],
        "Entities that left a full quarantine because another one had to enter it.");
    DEADLINE_EXCEEDED_TOTAL = counter("actor_deadline_exceeded_total",
        [SERVICE, ACTOR, Label("message", "the kind of message, `several` or `unnamed`"),
         Label("action", "`reported` or `restarted`")], "Handlers that were late.");
    FAULTS_INJECTED_TOTAL = counter("faults_injected_total", [SERVICE, Label("kind", "what went wrong: `panic`, `slow`, …")],
        "Faults that were brought about on demand.");
}

/// How an incarnation ends that nobody wanted to end.
const FALLS: [&str; 3] = ["panicked", "failed", "overdue"];
/// What becomes of messages that nobody has answered, besides those refused.
const LOSSES: [&str; 5] = ["panicked", "timed_out", "dropped", "unavailable", "stopping"];

/// What a child of the tree records; the handles are kept, so that recording is an atomic operation.
pub(crate) struct ChildMetrics {
    service: &'static str,
    actor: &'static str,
    pub(crate) up: Gauge,
    pub(crate) backoff: Gauge,
    pub(crate) recovery: Histogram,
}

impl ChildMetrics {
    pub(crate) fn new(service: &'static str, actor: &'static str) -> ChildMetrics {
        // From the start, at 0: whoever watches the rate would miss the first one.
        for reason in FALLS {
            drop(counter!(RESTARTS_TOTAL, "service" => service, "actor" => actor, "reason" => reason));
        }
        ChildMetrics {
            service,
            actor,
            up: gauge!(UP, "service" => service, "actor" => actor),
            backoff: gauge!(RESTART_BACKOFF_SECONDS, "service" => service, "actor" => actor),
            recovery: histogram!(RECOVERY_SECONDS, "service" => service, "actor" => actor),
        }
    }

    pub(crate) fn restarted(&self, reason: &'static str) {
        counter!(RESTARTS_TOTAL, "service" => self.service, "actor" => self.actor, "reason" => reason)
            .increment(1);
    }
}

/// What a bounded mailbox records.
pub(crate) struct MailboxMetrics {
    pub(crate) service: &'static str,
    actor: &'static str,
    pub(crate) depth: Gauge,
    pub(crate) wait: Histogram,
    pub(crate) handle: Histogram,
    overloaded: Counter,
}

impl MailboxMetrics {
    pub(crate) fn new(service: &'static str, actor: &'static str) -> MailboxMetrics {
        for reason in LOSSES {
            drop(counter!(MESSAGES_LOST_TOTAL, "service" => service, "actor" => actor, "reason" => reason));
        }
        for reason in ["stopping", "quarantined"] {
            drop(
                counter!(MAILBOX_REJECTED_TOTAL, "service" => service, "actor" => actor, "reason" => reason),
            );
        }
        MailboxMetrics {
            service,
            actor,
            depth: gauge!(MAILBOX_DEPTH, "service" => service, "actor" => actor),
            wait: histogram!(MAILBOX_WAIT_SECONDS, "service" => service, "actor" => actor),
            handle: histogram!(HANDLE_SECONDS, "service" => service, "actor" => actor),
            overloaded: counter!(MAILBOX_REJECTED_TOTAL,
                "service" => service, "actor" => actor, "reason" => "overloaded"),
        }
    }

    pub(crate) fn rejected(&self, error: &crate::AskError) {
        match error {
            // The one that comes in floods.
            crate::AskError::Overloaded => self.overloaded.increment(1),
            other => {
                counter!(MAILBOX_REJECTED_TOTAL,
                    "service" => self.service, "actor" => self.actor, "reason" => other.label())
                .increment(1);
            }
        }
    }

    pub(crate) fn lost(&self, count: usize, reason: &'static str) {
        if count > 0 {
            counter!(MESSAGES_LOST_TOTAL, "service" => self.service, "actor" => self.actor, "reason" => reason)
                .increment(count as u64);
        }
    }
}

pub(crate) fn escalated(service: &'static str, actor: &'static str) {
    counter!(ESCALATIONS_TOTAL, "service" => service, "actor" => actor).increment(1);
}

/// A supervisor, or a router of entities: what it has given up is shown from the start.
pub(crate) fn can_escalate(service: &'static str, actor: &'static str) {
    drop(counter!(ESCALATIONS_TOTAL, "service" => service, "actor" => actor));
}

pub(crate) fn budget_gauge(service: &'static str, actor: &'static str) -> Gauge {
    can_escalate(service, actor);
    gauge!(RESTART_BUDGET_REMAINING, "service" => service, "actor" => actor)
}

pub(crate) fn stuck_counter(service: &'static str, actor: &'static str, reason: &'static str) -> Counter {
    counter!(STUCK_TOTAL, "service" => service, "actor" => actor, "reason" => reason)
}

pub(crate) fn deadline_exceeded(
    service: &'static str,
    actor: &'static str,
    message: &'static str,
    action: &'static str,
) {
    counter!(DEADLINE_EXCEEDED_TOTAL,
        "service" => service, "actor" => actor, "message" => message, "action" => action)
    .increment(1);
}

pub(crate) fn fault_injected(service: &'static str, kind: &'static str) {
    counter!(FAULTS_INJECTED_TOTAL, "service" => service, "kind" => kind).increment(1);
}

pub(crate) fn ticks_skipped(service: &'static str, actor: &'static str) -> Counter {
    counter!(TICKS_SKIPPED_TOTAL, "service" => service, "actor" => actor)
}
