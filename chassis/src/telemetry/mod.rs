//! What a running service tells about itself: logs, traces and metrics.
//!
//! Logs are JSON lines (or readable ones for a laptop), each with the id of the trace it belongs to. Traces leave over
//! OTLP only when an endpoint is configured; without one no span is ever built for a request, and the trace id alone
//! travels along. Metrics are kept by one recorder per process and rendered when Prometheus asks.

mod context;
mod exemplars;
mod exporter;
mod exposition;
mod ids;
mod kept;
pub mod log_filter;
mod logs;
pub mod metrics;
mod post;
mod process;
mod processor;
mod resource;
mod sampler;
mod span;
mod traces;

use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

pub(crate) use context::sync_in_context;
pub use context::{TraceContext, current_trace, current_traceparent, in_context, in_trace};
pub use opentelemetry::trace::SpanKind;
pub use sampler::Sampler;
pub use span::{LOG_SYSTEM, MOST_LINKS, Span, Value, known_method};
pub use traces::{TracesConfig, exporting};

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
    /// How log lines look.
    pub format: LogFormat,
    /// Where they go.
    pub output: LogOutput,
    /// What is logged, in the syntax of `RUST_LOG`; empty: [`DEFAULT_FILTER`].
    pub filter: String,
    /// Where traces go; none: no traces leave.
    pub traces: Option<TracesConfig>,
}

impl TelemetryConfig {
    /// From `LOG_FORMAT` (`json` or `pretty`), `RUST_LOG` and the `OTEL_…` variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(TelemetryConfig {
            format: env.parse_or("LOG_FORMAT", LogFormat::default())?,
            output: LogOutput::default(),
            filter: env.parse_or("RUST_LOG", String::new())?,
            traces: TracesConfig::from_env(env)?,
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
    traces: Option<exporter::Exporter>,
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
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    let traces = match config.traces {
        Some(config) => traces::begin(config).map_err(TelemetryError::Traces)?,
        None => None,
    };
    Ok(Guard { traces })
}
