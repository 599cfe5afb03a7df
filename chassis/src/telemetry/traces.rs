//! Traces of this process: which spans are kept, and where they go.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracer;

use super::exporter::Exporter;
use super::sampler::Sampler;
use crate::config::{ConfigError, Env};

/// Where traces go, and which.
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The collector, such as `http://localhost:4318`.
    pub endpoint: String,
    /// Sent with each request: names and values, such as a collector's credentials.
    pub headers: Vec<(String, String)>,
    /// How long the collector may take for one request.
    pub timeout: Duration,
    /// Which are kept.
    pub sampler: Sampler,
    /// `service.name` of all spans; none: each service's own.
    pub service: Option<String>,
}

/// The usual timeout (OpenTelemetry's specification).
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

impl TracesConfig {
    /// To this collector, all of them.
    pub fn to(endpoint: impl Into<String>) -> Self {
        TracesConfig {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            timeout: TIMEOUT,
            sampler: Sampler::default(),
            service: None,
        }
    }

    /// Where requests go.
    pub(super) fn url(&self) -> String {
        format!("{}/v1/traces", self.endpoint.trim_end_matches('/'))
    }

    /// From `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_HEADERS`, `…_TIMEOUT` (milliseconds), `OTEL_TRACES_SAMPLER`, `…_ARG` and
    /// `OTEL_SERVICE_NAME`; `None` without an endpoint, but what is wrong is told all the same.
    pub(super) fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let sampler = Sampler::named(env.get("OTEL_TRACES_SAMPLER"), env.get("OTEL_TRACES_SAMPLER_ARG"))
            .map_err(|(variable, problem)| ConfigError::new(variable, problem))?;
        let millis = env.parse_or("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT.as_millis() as u64)?;
        if millis == 0 {
            return Err(ConfigError::new("OTEL_EXPORTER_OTLP_TIMEOUT", "is milliseconds, one at least"));
        }
        let headers = headers(env.get("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default())
            .ok_or_else(|| ConfigError::new("OTEL_EXPORTER_OTLP_HEADERS", "write name=value,name=value"))?;
        Ok(env.get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|endpoint| TracesConfig {
            endpoint: endpoint.to_owned(),
            headers,
            timeout: Duration::from_millis(millis),
            sampler,
            service: env.get("OTEL_SERVICE_NAME").map(str::to_owned),
        }))
    }
}

/// `name=value,name=value`.
fn headers(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

static EXPORTING: AtomicBool = AtomicBool::new(false);
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// True when traces leave this process: only then is it worth building spans on a hot path.
pub fn exporting() -> bool {
    EXPORTING.load(Ordering::Relaxed)
}

/// Begins to export, once per process. `None` when somebody did before.
pub(super) fn begin(config: TracesConfig) -> Result<Option<Exporter>, String> {
    let (exporter, tracer) = Exporter::start(config)?;
    if TRACER.set(tracer).is_err() {
        return Ok(None);
    }
    EXPORTING.store(true, Ordering::Relaxed);
    Ok(Some(exporter))
}

/// From now on no span is begun.
pub(super) fn cease() {
    EXPORTING.store(false, Ordering::Relaxed);
}

/// What begins spans.
pub(super) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Option<TracesConfig>, ConfigError> {
        TracesConfig::from_env(&Env::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported_and_mistakes_are_still_told() {
        assert!(config(&[]).unwrap().is_none());
        assert_eq!(config(&[("OTEL_TRACES_SAMPLER", "x")]).unwrap_err().variable, "OTEL_TRACES_SAMPLER");
        let zero = config(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]);
        assert_eq!(zero.unwrap_err().variable, "OTEL_EXPORTER_OTLP_TIMEOUT");
        let no_pair = config(&[("OTEL_EXPORTER_OTLP_HEADERS", "secret")]);
        assert!(!no_pair.unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn the_specifications_variables_are_read() {
        let config = config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic abc==, x-tenant=shop"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
        ]);
        let config = config.unwrap().unwrap();
        assert_eq!(config.timeout, Duration::from_millis(2_500));
        assert_eq!(config.headers[0], ("authorization".to_owned(), "Basic abc==".to_owned()));
        assert_eq!(config.headers[1], ("x-tenant".to_owned(), "shop".to_owned()));
        assert_ne!(config.sampler, Sampler::default());
    }
}
