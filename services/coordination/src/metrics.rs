//! The names of this service's own metrics. Labels are outcomes, never names that clients choose.

use viscount_chassis::metrics::{Closed, Label};

viscount_chassis::metrics::list! {
    INSTANCES = gauge("coordination_instances", [Label("health", "`unknown`, `healthy` or `unhealthy`")],
        "Registered instances, counted in the database every five seconds. Each replica tells the same: take the maximum.");
    REGISTRATIONS = counter("coordination_registrations_total", [Label("outcome", "`registered`, `left` or `expired`")],
        "Instances that came, moved or went.");
    PROBES = counter("coordination_probes_total", [Label("outcome", "`well` or `failed`")],
        "Questions to instances how they are.");
    WAITING = gauge("coordination_waiting_requests", [], "Requests that wait for news or for a lock.");
    LOCKS = counter("coordination_locks_total",
        [Label("outcome", "`taken`, `held` (by another), `full` (too many names) or `failed`")],
        "Locks asked for.");
    CONFIGURATIONS = counter("coordination_configurations_total", [], "Settings replaced.");
    WORKFLOWS_BATCH_SIZE = histogram("workflows_batch_size", [], "Events that were taken into the view of orders together.");
    WORKFLOWS_BATCH_SECONDS = histogram("workflows_batch_seconds", [], "How long that took.");
}

/// Counters whose series are all known.
pub(crate) const CLOSED: &[Closed] = &[
    Closed(REGISTRATIONS, "outcome", &["registered", "left", "expired"]),
    Closed(PROBES, "outcome", &["well", "failed"]),
    Closed(LOCKS, "outcome", &["taken", "held", "full", "failed"]),
];
