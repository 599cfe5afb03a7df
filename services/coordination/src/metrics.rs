//! Names of this service's own metrics. All carry the label `service`.

/// Registered instances: `coordination_instances{health}`, a gauge.
pub const INSTANCES: &str = "coordination_instances";
/// Instances that came or went: `coordination_registrations_total{outcome}`, `registered`, `left` or `expired`.
pub const REGISTRATIONS: &str = "coordination_registrations_total";
/// Questions to instances: `coordination_probes_total{outcome}`, `well` or `failed`.
pub const PROBES: &str = "coordination_probes_total";
/// Requests that wait for a change, a gauge.
pub const WAITING: &str = "coordination_waiting_requests";
/// Locks asked for: `coordination_locks_total{outcome}`, `taken`, `held` (by another) or `full`.
pub const LOCKS: &str = "coordination_locks_total";
/// Settings replaced.
pub const CONFIGURATIONS: &str = "coordination_configurations_total";
