//! Traces over OTLP/HTTP, when an endpoint is configured.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{Level, Metadata, Subscriber, warn};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;

static EXPORTING: AtomicBool = AtomicBool::new(false);

/// True when traces leave this process: only then is it worth building spans on a hot path.
pub fn exporting() -> bool {
    EXPORTING.load(Ordering::Relaxed)
}

/// The exporter's handle; sends what is waiting when dropped.
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    pub fn flush(&self) {
        if let Err(error) = self.0.force_flush() {
            warn!(error = %error, "traces could not be flushed");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        EXPORTING.store(false, Ordering::Relaxed);
        // Nobody is left to tell when this fails.
        let _ = self.0.shutdown();
    }
}

type SpanLayer<S> = Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn<Wanted>, S>;
type Wanted = fn(&Metadata<'_>) -> bool;

/// The layer that turns spans (`info` and above) into exported ones. Sampling follows `OTEL_TRACES_SAMPLER`.
pub(super) fn layer<S>(endpoint: &str, service: &str) -> Result<(SpanLayer<S>, Exporter), TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Traces(error.to_string()))?;
    let resource = Resource::builder().with_service_name(service.to_owned()).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    // Threads, source lines and idle times of each span are weight without a reader.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("viscount"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(wanted as Wanted));
    EXPORTING.store(true, Ordering::Relaxed);
    Ok((layer, Exporter(provider)))
}

/// An access line says nothing that its span does not say.
fn wanted(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.target() != "access"
}
