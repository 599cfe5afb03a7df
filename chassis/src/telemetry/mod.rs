//! What a running service tells about itself: logs, traces and metrics.
//!
//! Logs are JSON lines (or readable ones for a laptop), each with the id of the trace it belongs to. Traces leave over
//! OTLP only when an endpoint is configured; without one no span is ever built for a request, and the trace id alone
//! travels along. Metrics are kept by one recorder per process and rendered when Prometheus asks.

mod context;
mod exemplars;
mod exposition;
pub mod log_filter;
mod logs;
pub mod metrics;
mod process;
mod traces;

use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

pub use context::{TraceContext, current_trace, current_traceparent, in_trace};
pub(crate) use context::{exemplar_of, in_context, sync_in_context};
pub use traces::exporting;

use crate::config::{ConfigError, Env};

/// What is logged unless `RUST_LOG` says otherwise: a line for each HTTP request only when asked for
/// (`RUST_LOG=info`), because the gateway writes one already.
pub const DEFAULT_FILTER: &str = "info,access=warn";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// One coloured line, for humans.
    Pretty,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogOutput {
    /// Standard output, as a container's log is read.
    #[default]
    Stdout,
    /// Standard error, when standard output belongs to the user.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// How a process tells about itself.
#[derive(Debug, Clone, Default)]
pub struct TelemetryConfig {
    /// `service.name` of its traces.
    pub service: String,
    /// How log lines look.
    pub format: LogFormat,
    /// Where they go.
    pub output: LogOutput,
    /// What is logged, in the syntax of `RUST_LOG`; empty: [`DEFAULT_FILTER`].
    pub filter: String,
    /// The OTLP/HTTP endpoint for traces, such as `http://localhost:4318`; none: no traces leave.
    pub otlp_endpoint: Option<String>,
}

impl TelemetryConfig {
    /// From `LOG_FORMAT` (`json` or `pretty`), `RUST_LOG` and `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn from_env(service: &str, env: &Env) -> Result<Self, ConfigError> {
        Ok(TelemetryConfig {
            service: env.parse_or("OTEL_SERVICE_NAME", service.to_owned())?,
            format: env.parse_or("LOG_FORMAT", LogFormat::default())?,
            output: LogOutput::default(),
            filter: env.parse_or("RUST_LOG", String::new())?,
            otlp_endpoint: env.get("OTEL_EXPORTER_OTLP_ENDPOINT").map(str::to_owned),
        })
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(LogFormat::Json),
            "pretty" => Ok(LogFormat::Pretty),
            _ => Err("write json or pretty"),
        }
    }
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be understood.
    #[error("RUST_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The log file cannot be opened.
    #[error("log file {0}: {1}")]
    LogFile(PathBuf, std::io::Error),
    /// The trace exporter cannot be built.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
    Traces(String),
    /// There is a subscriber already.
    #[error("telemetry was set up twice")]
    Twice,
}

/// Keeps telemetry alive. Dropped at the very end, it sends the traces that are still waiting.
#[must_use = "traces are flushed when this is dropped"]
#[derive(Default)]
pub struct Guard {
    traces: Option<traces::Exporter>,
}

impl Guard {
    /// Sends what is still waiting, now.
    pub fn flush(&self) {
        if let Some(traces) = &self.traces {
            traces.flush();
        }
    }
}

/// Sets up logs and traces for the whole process, and the metrics recorder. Once, as early as possible.
pub fn init(config: TelemetryConfig) -> Result<Guard, TelemetryError> {
    metrics::install();
    let filter = log_filter::changeable(&config.filter)?;
    let lines = logs::layer::<Registry>(config.format, config.output)?;
    let (spans, traces) = match &config.otlp_endpoint {
        Some(endpoint) => {
            let (layer, exporter) = traces::layer(endpoint, &config.service)?;
            (Some(layer), Some(exporter))
        }
        None => (None, None),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(spans)
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    Ok(Guard { traces })
}
