//! Names of this service's metrics. Labels are bounded sets; never an id.

/// What became of payments and refunds: `payments_outcomes_total{kind}`, by the event's short name.
pub const OUTCOMES: &str = "payments_outcomes_total";
/// How often the provider's answer said nothing, so that it had to be asked again.
pub const ASKED_AGAIN: &str = "payments_provider_asked_again_total";
/// Questions to the provider whose answer is not known.
pub const OPEN_CALLS: &str = "payments_open_calls";
/// How long the oldest of them has been open.
pub const OLDEST_OPEN_CALL: &str = "payments_oldest_open_call_seconds";
/// Webhooks: `payments_webhooks_total{outcome}` with `settled`, `repeated`, `ignored`, `refused` or `failed`.
pub const WEBHOOKS: &str = "payments_webhooks_total";
