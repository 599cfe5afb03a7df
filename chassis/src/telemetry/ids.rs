//! Ids of traces and spans: random, but for a trace that log lines have named before it had a span.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    /// The SDK asks for an id in the middle of beginning a span, on the same thread, and cannot be handed one.
    static NEXT: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// If the next span that begins on this thread has no parent, its trace has this id; none: any.
pub(super) fn next_trace(id: Option<TraceId>) {
    NEXT.set(id);
}

/// Gives ids to the SDK.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
