//! The names of this service's own metrics. Labels are bounded sets; never an id.

use viscount_chassis::metrics::{Closed, Label};
use viscount_contracts::{
    Event as _,
    events::payments::v1::{
        PaymentCancelNoted, PaymentFailed, PaymentPending, PaymentProcessed, PaymentRefundFailed,
        PaymentRefundPending, PaymentRefunded, PaymentVoided,
    },
};

/// Why a provider declines, as far as its words are known; whatever else it says counts as `other`.
const DECLINES: [&str; 13] = [
    "card_declined",
    "charge_declined",
    "declined",
    "do_not_honor",
    "expired_card",
    "fraudulent",
    "generic_decline",
    "incorrect_cvc",
    "insufficient_funds",
    "lost_card",
    "processing_error",
    "stolen_card",
    "other",
];
/// The short names of the events that say what became of payments and refunds.
const BECAME: [&str; 8] = [
    PaymentPending::KIND,
    PaymentProcessed::KIND,
    PaymentFailed::KIND,
    PaymentCancelNoted::KIND,
    PaymentVoided::KIND,
    PaymentRefundPending::KIND,
    PaymentRefunded::KIND,
    PaymentRefundFailed::KIND,
];

viscount_chassis::metrics::list! {
    OUTCOMES = counter("payments_outcomes_total", [Label("kind", "the short name of an event: `PaymentProcessed`, …")],
        "What became of payments and refunds.");
    DECLINED = counter("payments_declined_total",
        [Label("reason", "the provider's code, as far as it is a usual one, else `other`")],
        "Payments that the provider declined.");
    ASKED_AGAIN = counter("payments_provider_asked_again_total", [],
        "Times that the provider's answer said nothing, so that it had to be asked again.");
    OPEN_CALLS = gauge("payments_open_calls", [], "Questions to the provider whose answer is not known.");
    OLDEST_OPEN_CALL = gauge("payments_oldest_open_call_seconds", [], "How long the oldest of them has been open.");
    WEBHOOKS = counter("payments_webhooks_total",
        [Label("outcome", "`settled`, `repeated`, `ignored`, `refused` or `failed`")], "Webhooks of the provider.");
}

/// Counters whose series are all known.
pub(crate) const CLOSED: &[Closed] = &[
    Closed(OUTCOMES, "kind", &BECAME),
    Closed(DECLINED, "reason", &DECLINES),
    Closed(WEBHOOKS, "outcome", &["settled", "repeated", "ignored", "refused", "failed"]),
];

/// A payment was declined, for this reason.
pub(crate) fn declined(code: &str) {
    let reason = DECLINES.into_iter().find(|known| *known == code).unwrap_or("other");
    metrics::counter!(DECLINED, "reason" => reason).increment(1);
}
