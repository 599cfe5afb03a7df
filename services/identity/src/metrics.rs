//! The names of this service's metrics. Labels are outcomes and kinds, never ids.

/// Counter `{outcome}`: registrations.
pub const REGISTRATIONS: &str = "identity_registrations_total";
/// Counter `{outcome}`: logins.
pub const LOGINS: &str = "identity_logins_total";
/// Counter `{grant, outcome}`: requests at the token endpoint.
pub const TOKENS: &str = "identity_token_requests_total";
/// Counter `{reason}`: sessions ended before their time.
pub const SESSIONS_REVOKED: &str = "identity_sessions_revoked_total";
/// Histogram `{work}`: how long one password took, without waiting.
pub const PASSWORD_SECONDS: &str = "identity_password_seconds";
/// Gauge: how many passwords wait for a core.
pub const PASSWORDS_WAITING: &str = "identity_passwords_waiting";
/// Counter: passwords that were not even tried because too many waited.
pub const PASSWORDS_REFUSED: &str = "identity_passwords_refused_total";
/// Gauge: for how long the current key has signed.
pub const KEY_AGE_SECONDS: &str = "identity_key_age_seconds";
/// Counter `{reason}`: keys withdrawn.
pub const KEY_ROTATIONS: &str = "identity_key_rotations_total";
