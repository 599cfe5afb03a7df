//! One step of a trace, from its beginning to when it is dropped.
//!
//! A span of OpenTelemetry's SDK, which the current work finds in its task-local and not in the SDK's stack of contexts.
//! Names and attributes are those of OpenTelemetry's semantic conventions. Where nothing is exported a span is a null
//! pointer: no clock is read and nothing is allocated, as long as the caller builds names and values only when
//! [`exporting`](super::exporting) says so.

use std::borrow::Cow;
use std::future::Future;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceId, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace as sdk;

use super::context::{self, TraceContext};
use super::{ids, resource, traces};

/// Links that one span carries at most; OpenTelemetry's own limit.
pub const MOST_LINKS: usize = 128;

/// What `messaging.system` says of the event log: a word of ours, since both engines hand over what the store commits.
pub const LOG_SYSTEM: &str = "viscount";

/// Attributes that a span has room for from the beginning.
const USUAL: usize = 10;

/// The value of an attribute: words, a number, yes or no.
#[derive(Debug, Clone, PartialEq)]
pub struct Value(opentelemetry::Value);

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value(number.into())
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        i64::from(number).into()
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        i64::from(number).into()
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value(flag.into())
    }
}

/// A span that is going on; it ends when it is dropped. Never put personal data or a secret into it.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    span: sdk::Span,
    began: SystemTime,
    since: Instant,
}

impl Span {
    /// No span.
    pub fn none() -> Self {
        Span(None)
    }

    /// A step of the current work; the first of a trace when the work belongs to none.
    pub fn child(service: &'static str, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> Self {
        if !super::exporting() {
            return Span(None);
        }
        let current = context::current();
        let parent = current.filter(|current| current.is_span).map(|current| current.context);
        // Log lines have named the id of a trace that has no span yet: it keeps it.
        let trace = current.map(|current| current.context.trace());
        Self::begin(service, kind, name.into(), parent, trace, None)
    }

    /// What follows from a request or a message that came with this context; the first of a trace without one.
    pub fn after(
        service: &'static str,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        parent: Option<TraceContext>,
    ) -> Self {
        if !super::exporting() {
            return Span(None);
        }
        Self::begin(service, kind, name.into(), parent, None, None)
    }

    /// One for work of many traces: it belongs to none of them, links to them, and is kept when one of them is.
    pub fn for_many(
        service: &'static str,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        of: impl Iterator<Item = TraceContext>,
    ) -> Self {
        if !super::exporting() {
            return Span(None);
        }
        let (mut links, mut beyond) = (Vec::new(), 0);
        for context in of {
            if links.len() < MOST_LINKS {
                links.push(Link::with_context(context.into()));
                continue;
            }
            beyond += 1;
            // One that is kept takes the last place: by it the batch is kept, too.
            if let Some(last) = links.last_mut().filter(|_| context.is_sampled()) {
                *last = Link::with_context(context.into());
            }
        }
        let mut span = Self::begin(service, kind, name.into(), None, None, Some(links));
        if let Some(open) = &mut span.0 {
            // It has no more room: these are counted.
            (0..beyond).for_each(|_| open.span.add_link(SpanContext::NONE, Vec::new()));
        }
        span
    }

    fn begin(
        service: &'static str,
        kind: SpanKind,
        name: Cow<'static, str>,
        parent: Option<TraceContext>,
        trace: Option<TraceId>,
        links: Option<Vec<Link>>,
    ) -> Self {
        let Some(tracer) = traces::tracer() else { return Span(None) };
        let within = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.into()),
            None => Context::new(),
        };
        ids::next_trace(trace);
        let (began, since) = (SystemTime::now(), Instant::now());
        let mut attributes = Vec::with_capacity(USUAL);
        attributes.push(KeyValue::new(resource::SERVICE, service));
        let builder = SpanBuilder {
            span_kind: Some(kind),
            name,
            start_time: Some(began),
            attributes: Some(attributes),
            events: None,
            links,
        };
        let span = tracer.build_with_context(builder, &within);
        // The process may have ceased to export in between: such a span has no id.
        Span(span.is_recording().then(|| Box::new(Open { span, began, since })))
    }

    /// True when there is nothing to tell.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// What to send along as `traceparent`.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|open| open.span.span_context().into())
    }

    /// Says something about it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.span.set_attribute(KeyValue::new(name, value.into().0));
        }
    }

    /// Gives it another name, when that is known only later.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.0 {
            open.span.update_name(name);
        }
    }

    /// Links it to a span of another trace.
    pub fn link(&mut self, to: TraceContext) {
        if let Some(open) = &mut self.0 {
            open.span.add_link(to.into(), Vec::new());
        }
    }

    /// It failed: `error.type`, a short word of few. Such a span is exported even where its trace is not sampled.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.0 {
            open.span.set_status(Status::error(""));
            open.span.set_attribute(KeyValue::new("error.type", why.into()));
        }
    }

    /// Runs work inside of it; without a span, in the trace that a message's `traceparent` names.
    pub fn scope<F: Future>(
        &self,
        traceparent: Option<&str>,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        match self.context() {
            Some(context) => context::scope(context::Current { context, is_span: true }, work),
            None => context::scope(context::of_message(traceparent), work),
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = &mut self.0 {
            // The wall clock may have been set back since.
            open.span.end_with_timestamp(open.began + open.since.elapsed());
        }
    }
}

/// `http.request.method`: the methods that are known; whatever else somebody sends is `_OTHER`.
pub fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}
