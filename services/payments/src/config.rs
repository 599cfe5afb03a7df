//! What payments can be told from outside, checked before anything starts.

use std::time::Duration;

use viscount_chassis::{
    config::{ConfigError, Env, HANDLER_DEADLINES},
    store::DatabaseConfig,
};

use crate::provider::{ProviderConfig, signature::Secret};

/// The settings of the payments service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; 0 takes any free port.
    pub port: u16,
    /// Its database.
    pub database: DatabaseConfig,
    /// How the payment provider is reached.
    pub provider: ProviderConfig,
    /// What the provider signs its webhooks with. Random when nobody set it: then no webhook from outside is believed,
    /// unless whoever starts the provider takes it from here.
    pub webhook_secret: Secret,
    /// How long after a cancellation a charge that the provider says it never saw counts as never made.
    pub cancel_quiet: Duration,
    /// How long a payment's handler may take before it is given up and the payment loaded afresh. The provider answers or is
    /// given up within its own timeout, and a commit or a read within ten seconds: a payment that takes longer than the
    /// default waits for something that will not come. The provider's keys make it safe to ask again.
    pub handler_deadline: Duration,
}

impl Config {
    /// Reads `PAYMENTS_PORT` (8087), `PAYMENTS_PROVIDER_URL` (the simulator on this machine),
    /// `PAYMENTS_PROVIDER_TIMEOUT` (3s), `PAYMENTS_PROVIDER_CONCURRENCY` (256), `PAYMENTS_WEBHOOK_SECRET`,
    /// `PAYMENTS_CANCEL_QUIET` (30s) and `PAYMENTS_HANDLER_DEADLINE` (60s).
    pub fn from_env(env: &Env, database_url: String) -> Result<Self, ConfigError> {
        let simulator_port = env.parse_or("SIMULATOR_PORT", crate::simulator::PORT)?;
        let url = env.get("PAYMENTS_PROVIDER_URL").map(str::to_owned);
        let config = Self {
            port: env.parse_or("PAYMENTS_PORT", 8087)?,
            database: DatabaseConfig::new(database_url),
            provider: ProviderConfig {
                url: url.unwrap_or_else(|| format!("http://127.0.0.1:{simulator_port}")),
                timeout: env.duration_within(
                    "PAYMENTS_PROVIDER_TIMEOUT",
                    Duration::from_secs(3),
                    Duration::from_millis(50)..=Duration::from_secs(10),
                )?,
                concurrency: env.parse_or("PAYMENTS_PROVIDER_CONCURRENCY", 256_usize)?.max(1),
                limit: None,
            },
            webhook_secret: env.get("PAYMENTS_WEBHOOK_SECRET").map_or_else(Secret::random, Secret::new),
            cancel_quiet: env.duration_or("PAYMENTS_CANCEL_QUIET", Duration::from_secs(30))?,
            handler_deadline: env.duration_within(
                "PAYMENTS_HANDLER_DEADLINE",
                Duration::from_secs(60),
                HANDLER_DEADLINES,
            )?,
        };
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(
            &Env::from_pairs(pairs.iter().copied()),
            "postgres://localhost/payment_db".to_owned(),
        )
    }

    #[test]
    fn the_defaults_speak_to_the_simulator() {
        let config = read(&[]).unwrap();
        assert_eq!((config.port, config.provider.url.as_str()), (8087, "http://127.0.0.1:8089"));
        assert_eq!(read(&[("SIMULATOR_PORT", "9000")]).unwrap().provider.url, "http://127.0.0.1:9000");
    }

    #[test]
    fn a_secret_is_never_shown_and_never_guessable() {
        let (one, two) = (read(&[]).unwrap(), read(&[]).unwrap());
        assert_ne!(one.webhook_secret, two.webhook_secret);
        let told = read(&[("PAYMENTS_WEBHOOK_SECRET", "hush")]).unwrap();
        assert!(!format!("{told:?}").contains("hush"));
    }

    #[test]
    fn a_wrong_value_names_its_variable() {
        assert_eq!(
            read(&[("PAYMENTS_PROVIDER_TIMEOUT", "1m")]).unwrap_err().variable,
            "PAYMENTS_PROVIDER_TIMEOUT"
        );
        let deadline =
            |text| read(&[("PAYMENTS_HANDLER_DEADLINE", text)]).map(|config| config.handler_deadline);
        assert_eq!(deadline("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["999ms", "61m", "soon"] {
            assert_eq!(deadline(wrong).unwrap_err().variable, "PAYMENTS_HANDLER_DEADLINE");
        }
        assert_eq!(read(&[("PAYMENTS_PORT", "x")]).unwrap_err().variable, "PAYMENTS_PORT");
    }
}
