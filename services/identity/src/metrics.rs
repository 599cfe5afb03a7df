//! The names of this service's own metrics. Labels are outcomes and kinds, never ids.

use viscount_chassis::metrics::{Closed, Label};

viscount_chassis::metrics::list! {
    REGISTRATIONS = counter("identity_registrations_total", [Label("outcome", "`registered`, `email_taken` or `failed`")],
        "Registrations.");
    LOGINS = counter("identity_logins_total", [Label("outcome", "`admitted`, `refused` or `failed`")], "Logins.");
    TOKENS = counter("identity_token_requests_total", [
        Label("grant", "`client_credentials`, `refresh_token` or `other`"),
        Label("outcome", "`granted`, or the error code of RFC 6749"),
    ], "Requests at the token endpoint.");
    SESSIONS_REVOKED = counter("identity_sessions_revoked_total", [Label("reason", "`reuse` or `logout`")],
        "Sessions ended before their time.");
    PASSWORD_SECONDS = histogram("identity_password_seconds", [Label("work", "`hash` or `check`")],
        "How long one password took, without waiting.");
    PASSWORDS_WAITING = gauge("identity_passwords_waiting", [], "Passwords that wait for a core.");
    PASSWORDS_REFUSED = counter("identity_passwords_refused_total", [],
        "Passwords that were not even tried because too many waited.");
    KEY_AGE_SECONDS = gauge("identity_key_age_seconds", [], "For how long the current key has signed.");
    KEY_ROTATIONS = counter("identity_key_rotations_total", [Label("reason", "`age`, `asked` or `compromised`")],
        "Keys that were followed by another one.");
}

/// Counters whose series are all known.
pub(crate) const CLOSED: &[Closed] = &[
    Closed(REGISTRATIONS, "outcome", &["registered", "email_taken", "failed"]),
    Closed(LOGINS, "outcome", &["admitted", "refused", "failed"]),
    Closed(SESSIONS_REVOKED, "reason", &["reuse", "logout"]),
    Closed(KEY_ROTATIONS, "reason", &["age", "asked", "compromised"]),
];
