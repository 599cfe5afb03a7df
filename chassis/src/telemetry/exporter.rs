//! Takes spans to the collector: OpenTelemetry's SDK and its OTLP exporter, with what we want to know about them.
//!
//! Whoever ends a span puts it into a queue that has a bound and never waits: what finds no room is dropped and counted.
//! A thread of the SDK's takes batches out of it and hands them over here. Each service of the process has its own
//! exporter, since each is a resource of its own; they send at the same time. A collector that is away, slow or refuses
//! for the moment is asked again for a short while; then the batch is dropped and counted, too. So the platform works at
//! its own speed, whatever becomes of its traces.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use metrics::counter;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, StringValue};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter as Otlp, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter, SpanLimits,
};
use parking_lot::Mutex;
use reqwest::Client;
use tokio::runtime::{self, Runtime};

use super::ids::Ids;
use super::post::{self, Post};
use super::processor::KeepFailures;
use super::sampler::RecordAll;
use super::traces::{self, TracesConfig};
use super::{MOST_LINKS, resource};
use crate::metrics::{TRACES_DROPPED_TOTAL, TRACES_EXPORTED_TOTAL};
use crate::seldom::Seldom;

/// Spans that may wait, about half a kilobyte each.
pub(super) const QUEUE: usize = 8_192;
/// Spans that are taken out of the queue at once: one request for each service among them.
const BATCH: usize = 2_048;
/// How often what waits is sent, at least.
const EVERY: Duration = Duration::from_millis(500);
/// How often a batch is sent at most, and how long it is tried in all.
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(15);
/// The first pause between two tries; doubles. Up to as much again is added by chance.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the end of the process waits for the last traces.
const FAREWELL: Duration = Duration::from_secs(3);

/// The exporter's handle. Dropped, it sends what is waiting, for a short while.
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Starts it. What begins spans from then on is the tracer.
    pub fn start(config: TracesConfig) -> Result<(Self, SdkTracer), String> {
        let waiting = Arc::new(AtomicUsize::new(0));
        let sampler = RecordAll(config.sampler.into());
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let exporter = ByService::new(config, waiting.clone())?;
        let processor = KeepFailures::new(BatchSpanProcessor::new(exporter, batches), waiting);
        let limits = SpanLimits { max_links_per_span: MOST_LINKS as u32, ..SpanLimits::default() };
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_id_generator(Ids::default())
            .with_span_limits(limits)
            .with_resource(resource::of_process())
            .with_span_processor(processor)
            .build();
        // Shown from the beginning: that nothing was dropped is news, too.
        counter!(TRACES_EXPORTED_TOTAL).increment(0);
        let scope = InstrumentationScope::builder("viscount").with_version(env!("CARGO_PKG_VERSION")).build();
        let tracer = provider.tracer_with_scope(scope);
        Ok((Exporter(provider), tracer))
    }

    /// Sends what is waiting now. Gives up after a few seconds.
    pub fn flush(&self) {
        if self.0.force_flush().is_err() {
            tracing::warn!("traces could not be flushed in time");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        traces::cease();
        if self.0.shutdown_with_timeout(FAREWELL).is_err() {
            tracing::warn!("traces could not be flushed in time");
        }
    }
}

/// Hands each service's spans to an exporter of its own, and counts what becomes of them.
struct ByService {
    config: TracesConfig,
    http: Client,
    whole: Option<StringValue>,
    resource: Resource,
    /// Spans in the queue. What is handed over here has left it.
    waiting: Arc<AtomicUsize>,
    services: Mutex<Vec<Arc<Service>>>,
    seldom: Mutex<Seldom>,
    /// The SDK's thread has none, and the HTTP client needs one.
    runtime: Runtime,
}

struct Service {
    name: StringValue,
    exporter: Otlp,
    post: Arc<Post>,
}

impl ByService {
    fn new(config: TracesConfig, waiting: Arc<AtomicUsize>) -> Result<Self, String> {
        let http = post::client(&config)?;
        // What is wrong with the variables that the exporter reads by itself is told now.
        otlp(&config, Arc::new(Post::new(http.clone()))).map_err(|error| error.to_string())?;
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok(ByService {
            whole: config.service.clone().map(StringValue::from),
            config,
            http,
            resource: Resource::builder_empty().build(),
            waiting,
            services: Mutex::default(),
            seldom: Mutex::default(),
            runtime,
        })
    }

    fn service(&self, name: StringValue) -> Result<Arc<Service>, ExporterBuildError> {
        let mut services = self.services.lock();
        if let Some(known) = services.iter().find(|known| known.name == name) {
            return Ok(known.clone());
        }
        let post = Arc::new(Post::new(self.http.clone()));
        let mut exporter = otlp(&self.config, post.clone())?;
        exporter.set_resource(&resource::of_service(&self.resource, name.clone()));
        let new = Arc::new(Service { name, exporter, post });
        services.push(new.clone());
        Ok(new)
    }

    async fn send(&self, service: StringValue, spans: Vec<SpanData>) {
        let count = spans.len() as u64;
        let Ok(service) = self.service(service) else { return self.dropped("refused", count) };
        match service.exporter.export(spans).await {
            Ok(()) => {
                let rejected = service.post.latest().rejected.min(count);
                counter!(TRACES_EXPORTED_TOTAL).increment(count - rejected);
                if rejected > 0 {
                    self.dropped("rejected", rejected);
                }
            }
            Err(_) => self.dropped(service.post.latest().reason, count),
        }
    }

    fn dropped(&self, reason: &'static str, spans: u64) {
        counter!(TRACES_DROPPED_TOTAL, "reason" => reason).increment(spans);
        if self.seldom.lock().is_due() {
            tracing::warn!(reason, spans, "traces are dropped");
        }
    }
}

/// One exporter of the SDK's, to this collector.
fn otlp(config: &TracesConfig, post: Arc<Post>) -> Result<Otlp, ExporterBuildError> {
    let retry = RetryPolicy::recommended()
        .with_max_retries(TRIES - 1)
        .with_initial_delay(PAUSE)
        .with_max_jitter(PAUSE);
    Otlp::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(config.url())
        .with_timeout(PATIENCE)
        .with_retry_policy(retry)
        .with_shared_http_client(post)
        .build()
}

impl SpanExporter for ByService {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.waiting.fetch_sub(batch.len(), Ordering::AcqRel);
        let services = resource::by_service(batch, self.whole.as_ref());
        self.runtime.block_on(join_all(services.into_iter().map(|(name, spans)| self.send(name, spans))));
        // What was lost is counted and told.
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.clone();
    }
}

impl fmt::Debug for ByService {
    /// Without the configuration: its headers may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByService").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
