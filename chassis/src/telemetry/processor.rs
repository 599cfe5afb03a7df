//! Which ended spans are exported: those that are sampled, and those that a failure makes worth it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, counter};
use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanContext, SpanId, Status, TraceContextExt, TraceFlags};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

use super::exporter::QUEUE;
use super::kept::OpenSpans;
use crate::metrics::TRACES_DROPPED_TOTAL;

/// Stands before the SDK's batches.
#[derive(Debug)]
pub(super) struct KeepFailures {
    open: OpenSpans,
    next: BatchSpanProcessor,
    /// Spans in the queue. The SDK knows that, too, and whether it was full, and does not say it.
    waiting: Arc<AtomicUsize>,
    full: Counter,
}

impl KeepFailures {
    /// `waiting` is what this counts up; whoever takes spans out of the queue counts it down.
    pub fn new(next: BatchSpanProcessor, waiting: Arc<AtomicUsize>) -> Self {
        let full = counter!(TRACES_DROPPED_TOTAL, "reason" => "queue_full");
        full.increment(0);
        KeepFailures { open: OpenSpans::default(), next, waiting, full }
    }

    /// Never waits.
    fn put(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) < QUEUE {
            self.next.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.full.increment(1);
        }
    }
}

impl SpanProcessor for KeepFailures {
    fn on_start(&self, span: &mut Span, within: &Context) {
        let context = span.span_context();
        if !context.is_sampled() {
            self.open.begin(id(context.span_id()), parent(within.span().span_context().span_id()));
        }
    }

    fn on_end(&self, mut span: SpanData) {
        let context = &span.span_context;
        if !context.is_sampled() {
            let failed = matches!(span.status, Status::Error { .. });
            if !self.open.end(id(context.span_id()), parent(span.parent_span_id), failed) {
                return;
            }
            span.span_context = kept(context);
        }
        self.put(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// The same span with the flag set, without which nothing is exported. What was sent along while it was open had none.
fn kept(span: &SpanContext) -> SpanContext {
    let state = span.trace_state().clone();
    SpanContext::new(span.trace_id(), span.span_id(), TraceFlags::SAMPLED, span.is_remote(), state)
}

fn id(span: SpanId) -> u64 {
    u64::from_be_bytes(span.to_bytes())
}

fn parent(span: SpanId) -> Option<u64> {
    (span != SpanId::INVALID).then(|| id(span))
}
