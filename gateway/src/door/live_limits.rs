//! `limits`: the live setting that changes how much one caller may ask, without a restart.
//!
//! ```json
//! {"read": {"per_second": 50, "burst": 100}, "auth": {"per_second": 0.2, "burst": 5}}
//! ```
//!
//! A limit that is not named is the one that the gateway was started with. One bad entry refuses the whole setting: half of a
//! change is a change that nobody has asked for.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use viscount_chassis::coordination::Setting;
use viscount_chassis::resilience::RatePolicy;

use super::Door;
use super::limits::CHANGEABLE;

/// The longest time that an exhausted quota may take to be whole again.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct LiveLimits(pub(crate) Arc<Door>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    per_second: f64,
    burst: NonZeroU32,
}

impl Setting for LiveLimits {
    fn key(&self) -> &'static str {
        "limits"
    }

    fn apply(&self, value: Option<&Value>) -> Result<(), String> {
        let policies = value.map_or_else(|| Ok(BTreeMap::new()), parse)?;
        for name in CHANGEABLE {
            self.0.limits.change(name, policies.get(name).copied());
        }
        Ok(())
    }
}

fn parse(value: &Value) -> Result<BTreeMap<String, RatePolicy>, String> {
    let rates: BTreeMap<String, Rate> =
        Deserialize::deserialize(value).map_err(|error| format!("cannot be read: {error}"))?;
    let mut policies = BTreeMap::new();
    for (name, rate) in rates {
        if !CHANGEABLE.contains(&name.as_str()) {
            return Err(format!("there is no limit {name}; there are {}", CHANGEABLE.join(", ")));
        }
        let window = Duration::try_from_secs_f64(f64::from(rate.burst.get()) / rate.per_second)
            .ok()
            .filter(|window| !window.is_zero() && *window <= LONGEST && rate.per_second > 0.0)
            .ok_or_else(|| {
                format!("{name}: burst / per_second must be more than nothing and at most a day")
            })?;
        policies.insert(name, RatePolicy { quota: rate.burst, window });
    }
    Ok(policies)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rate_and_a_burst_are_a_quota_and_a_window() {
        let policies = parse(&json!({"read": {"per_second": 50, "burst": 100}})).unwrap();
        let read = RatePolicy { quota: NonZeroU32::new(100).unwrap(), window: Duration::from_secs(2) };
        assert_eq!(policies["read"], read);
    }

    #[test]
    fn one_bad_entry_refuses_them_all() {
        let good = json!({"per_second": 1, "burst": 1});
        for bad in [
            json!({"per_second": 0, "burst": 1}),
            json!({"per_second": -1, "burst": 1}),
            json!({"per_second": 1e-9, "burst": 1}),
            json!({"per_second": 1e300, "burst": 1}),
            json!({"per_second": 1, "burst": 0}),
            json!({"per_second": 1}),
            json!({"per_second": 1, "burst": 1, "extra": 1}),
            json!("fast"),
        ] {
            assert!(parse(&json!({"write": good, "read": bad})).is_err(), "{bad}");
        }
        assert!(parse(&json!({"webhook": good})).is_err() && parse(&json!([])).is_err());
    }
}
