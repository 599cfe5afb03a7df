//! What the simulator can be told from outside.

use viscount_chassis::{
    config::{ConfigError, Env},
    store::DatabaseConfig,
};

use super::{PORT, faults::Faults};
use crate::provider::signature::Secret;

/// The settings of the simulator.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Where it listens; 0 takes any free port.
    pub port: u16,
    /// Its database.
    pub database: DatabaseConfig,
    /// Who is told of charges and refunds, if anybody.
    pub webhook: Option<WebhookTarget>,
    /// How it misbehaves from the start.
    pub faults: Faults,
}

/// Where webhooks go.
#[derive(Debug, Clone)]
pub struct WebhookTarget {
    /// The address, such as `http://127.0.0.1:8087/v1/payments/webhooks/simulator`.
    pub url: String,
    /// What they are signed with.
    pub secret: Secret,
}

impl SimulatorConfig {
    /// Reads `SIMULATOR_PORT` (8089), `SIMULATOR_WEBHOOK_URL` (none: no webhooks), `PAYMENTS_WEBHOOK_SECRET` (needed
    /// for webhooks), `SIMULATOR_LATENCY` (0ms), `SIMULATOR_FAIL_BEFORE` and `SIMULATOR_LOSE_ANSWER` (shares, 0).
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
        let webhook = match env.get("SIMULATOR_WEBHOOK_URL") {
            Some(url) => {
                let secret: String = env.required("PAYMENTS_WEBHOOK_SECRET")?;
                Some(WebhookTarget { url: url.to_owned(), secret: Secret::new(secret) })
            }
            None => None,
        };
        let latency = env.duration_or("SIMULATOR_LATENCY", std::time::Duration::ZERO)?;
        let faults = Faults {
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            fail_before: share(env, "SIMULATOR_FAIL_BEFORE")?,
            lose_answer: share(env, "SIMULATOR_LOSE_ANSWER")?,
            down: false,
        };
        Ok(Self {
            port: env.parse_or("SIMULATOR_PORT", PORT)?,
            database: DatabaseConfig::new(database_url),
            webhook,
            faults,
        })
    }
}

fn share(env: &Env, name: &'static str) -> Result<f64, ConfigError> {
    let share: f64 = env.parse_or(name, 0.0)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(ConfigError::new(name, "must lie between 0 and 1"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<SimulatorConfig, ConfigError> {
        SimulatorConfig::from_env(&Env::from_pairs(pairs.iter().copied()), String::new())
    }

    #[test]
    fn webhooks_need_a_secret() {
        assert!(read(&[]).unwrap().webhook.is_none());
        let url = ("SIMULATOR_WEBHOOK_URL", "http://127.0.0.1:1/");
        assert_eq!(read(&[url]).unwrap_err().variable, "PAYMENTS_WEBHOOK_SECRET");
        assert!(read(&[url, ("PAYMENTS_WEBHOOK_SECRET", "s")]).unwrap().webhook.is_some());
    }

    #[test]
    fn a_share_is_a_share() {
        assert_eq!(read(&[("SIMULATOR_FAIL_BEFORE", "1.5")]).unwrap_err().variable, "SIMULATOR_FAIL_BEFORE");
        assert_eq!(read(&[("SIMULATOR_LOSE_ANSWER", "NaN")]).unwrap_err().variable, "SIMULATOR_LOSE_ANSWER");
    }
}
