//! The names of what is measured. Labels are the service, the actor's static name and a reason; never an id.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Restarts, by `service`, `actor` and `reason` (the exit's label).
pub const RESTARTS_TOTAL: &str = "actor_restarts_total";
/// Supervisors that gave up, and entities that were quarantined for falling too often.
pub const ESCALATIONS_TOTAL: &str = "actor_escalations_total";
/// 1 while an incarnation runs, else 0.
pub const UP: &str = "actor_up";
/// The pause that was chosen before the latest restart.
pub const RESTART_BACKOFF_SECONDS: &str = "actor_restart_backoff_seconds";
/// How many restarts the supervisor may still have in its window.
pub const RESTART_BUDGET_REMAINING: &str = "actor_restart_budget_remaining";
/// From the fall of an incarnation to the next one being up (an entity: loaded).
pub const RECOVERY_SECONDS: &str = "actor_recovery_seconds";
/// Messages accepted and not yet finished.
pub const MAILBOX_DEPTH: &str = "actor_mailbox_depth";
/// Messages refused, by `reason`.
pub const MAILBOX_REJECTED_TOTAL: &str = "actor_mailbox_rejected_total";
/// How long the oldest message of a batch waited.
pub const MAILBOX_WAIT_SECONDS: &str = "actor_mailbox_wait_seconds";
/// How long a batch took.
pub const HANDLE_SECONDS: &str = "actor_handle_seconds";
/// Accepted messages that ended without being answered by a handler, by `reason`.
pub const MESSAGES_LOST_TOTAL: &str = "actor_messages_lost_total";
/// Entities alive, by `service` and `kind`.
pub const LIVE: &str = "actor_live";
/// Entities put to rest.
pub const PASSIVATIONS_TOTAL: &str = "actor_passivations_total";
/// Times that an actor was found without progress: `reason` is `blocked` (it keeps the thread) or `waiting`.
pub const STUCK_TOTAL: &str = "actor_stuck_total";
/// Ticks of timers that found no room in the mailbox.
pub const TICKS_SKIPPED_TOTAL: &str = "actor_ticks_skipped_total";

/// Entities in quarantine, by `service` and `kind`.
pub const QUARANTINED: &str = "actor_quarantined";
/// Entities that left a full quarantine because another one had to enter it, by `service` and `kind`.
pub const QUARANTINE_FORGIVEN_TOTAL: &str = "actor_quarantine_forgiven_total";
/// Handlers that were late, by `service`, `actor`, `message` (the kind, `several` or `unnamed`) and `action` (`reported`
/// or `restarted`).
pub const DEADLINE_EXCEEDED_TOTAL: &str = "actor_deadline_exceeded_total";

/// Faults that were brought about on demand, by `service` and `kind`.
pub const FAULTS_INJECTED_TOTAL: &str = "faults_injected_total";

/// Tells the recorder what the names mean. Call once, after the recorder is installed.
pub fn describe() {
    use metrics::{Unit::Seconds, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(RESTARTS_TOTAL, "restarts of actors by reason");
    describe_counter!(ESCALATIONS_TOTAL, "actors that exceeded their restart intensity");
    describe_gauge!(UP, "1 while an incarnation of the actor runs");
    describe_gauge!(RESTART_BACKOFF_SECONDS, Seconds, "pause before the latest restart");
    describe_gauge!(RESTART_BUDGET_REMAINING, "restarts left in the supervisor's window");
    describe_histogram!(RECOVERY_SECONDS, Seconds, "from a fall to the next incarnation being up");
    describe_gauge!(MAILBOX_DEPTH, "messages accepted and not yet finished");
    describe_counter!(MAILBOX_REJECTED_TOTAL, "messages refused by reason");
    describe_histogram!(MAILBOX_WAIT_SECONDS, Seconds, "waiting time of the oldest message of a batch");
    describe_histogram!(HANDLE_SECONDS, Seconds, "time spent on a batch of messages");
    describe_counter!(MESSAGES_LOST_TOTAL, "accepted messages that no handler answered");
    describe_gauge!(LIVE, "entities alive");
    describe_counter!(PASSIVATIONS_TOTAL, "entities put to rest");
    describe_counter!(STUCK_TOTAL, "times an actor was found without progress");
    describe_gauge!(QUARANTINED, "entities that fell too often and wait to be released");
    describe_counter!(QUARANTINE_FORGIVEN_TOTAL, "entities that left a full quarantine");
    describe_counter!(DEADLINE_EXCEEDED_TOTAL, "handlers that were late");
    describe_counter!(FAULTS_INJECTED_TOTAL, "faults brought about on demand");
    describe_counter!(TICKS_SKIPPED_TOTAL, "timer ticks that found no room in the mailbox");
}

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

pub(crate) fn budget_gauge(service: &'static str, actor: &'static str) -> Gauge {
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
