//! Which engine carries the events: the one in this process, or the brokers that `KAFKA_BROKERS` names.

use std::sync::Arc;

use viscount_chassis::{
    config::{ConfigError, Env},
    log::{EmbeddedLog, EventLog},
};

use crate::failure::Failure;

/// The engine that the environment asks for. Nobody is asked yet: brokers may be away.
#[cfg(feature = "kafka")]
pub fn engine(env: &Env) -> Result<Arc<dyn EventLog>, Failure> {
    Ok(match brokers(env)? {
        Some(log) => Arc::new(log),
        None => Arc::new(EmbeddedLog::new()),
    })
}

/// The brokers, when the environment names any.
#[cfg(feature = "kafka")]
pub fn brokers(env: &Env) -> Result<Option<viscount_chassis::log::kafka::KafkaLog>, Failure> {
    use viscount_chassis::log::kafka::{KafkaConfig, KafkaLog};

    let Some(config) = KafkaConfig::from_env(env)? else { return Ok(None) };
    let log = KafkaLog::new(config).map_err(|error| ConfigError::new("KAFKA_BROKERS", error.to_string()))?;
    Ok(Some(log))
}

/// The only engine that this program was built with.
#[cfg(not(feature = "kafka"))]
pub fn engine(env: &Env) -> Result<Arc<dyn EventLog>, Failure> {
    match env.get("KAFKA_BROKERS") {
        Some(_) => {
            Err(ConfigError::new("KAFKA_BROKERS", "this program was built without the feature kafka").into())
        }
        None => Ok(Arc::new(EmbeddedLog::new())),
    }
}

/// True when services in other processes get these events.
pub fn are_shared(env: &Env) -> bool {
    env.get("KAFKA_BROKERS").is_some()
}
