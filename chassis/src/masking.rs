//! Events as people see them: what nobody needs to see on a screen is hidden.

use serde_json::Value;
use viscount_contracts::Envelope;

/// The members that are hidden.
const MASKED: [&str; 2] = ["payment_token", "shipping_address"];
/// What stands in their place.
const MASK: &str = "***";

/// True for a member of an event that is not to be shown.
pub fn is_masked(member: &str) -> bool {
    MASKED.contains(&member)
}

/// The event's message as JSON, payment tokens and addresses masked; `None` when its bytes cannot be read.
pub fn masked_json(event: &Envelope) -> Option<Value> {
    let mut data = event.to_json()?;
    for field in MASKED {
        if data.get(field).is_some_and(|value| !value.is_null()) {
            data[field] = MASK.into();
        }
    }
    Some(data)
}
