//! One step of a trace, from its beginning to when it is dropped.
//!
//! Names and attributes are those of OpenTelemetry's semantic conventions. Where nothing is exported a span is a null
//! pointer: no clock is read and nothing is allocated, as long as the caller builds names and values only when
//! [`exporting`](super::exporting) says so.

use std::borrow::Cow;
use std::future::Future;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::context::{self, TraceContext};
use super::traces;

/// Links that one span carries at most; OpenTelemetry's own limit.
pub const MOST_LINKS: usize = 128;

/// What `messaging.system` says of the event log: a word of ours, since both engines hand over what the store commits.
pub const LOG_SYSTEM: &str = "viscount";

/// What a span stands for, from the point of view of whoever makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A step inside.
    Internal,
    /// Answers a request.
    Server,
    /// Sends a request and waits for its answer.
    Client,
    /// Makes a message known that somebody handles later.
    Producer,
    /// Handles a message.
    Consumer,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Words.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Value::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

/// A span that is going on; it ends when it is dropped. Never put personal data or a secret into it.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Span(Option<Box<Open>>);

/// A span as it is handed to the exporter.
#[derive(Debug)]
pub(super) struct Record {
    pub context: TraceContext,
    pub parent: Option<u64>,
    pub service: &'static str,
    pub kind: SpanKind,
    pub name: Cow<'static, str>,
    /// Nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
    pub attributes: Vec<(&'static str, Value)>,
    pub links: Vec<TraceContext>,
    pub links_dropped: u32,
    pub failed: bool,
}

#[derive(Debug)]
struct Open {
    record: Record,
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
        let trace_id = current.map(|current| current.context.raw().0);
        Self::begin(service, kind, name.into(), parent, trace_id)
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
        Self::begin(service, kind, name.into(), parent, None)
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
        let (mut links, mut dropped, mut sampled) = (Vec::new(), 0, false);
        for context in of {
            sampled |= context.is_sampled();
            if links.len() < MOST_LINKS {
                links.push(context);
            } else {
                dropped += 1;
            }
        }
        let root = TraceContext::new_root().raw();
        let mut span =
            Self::open(service, kind, name.into(), TraceContext::of_span(root.0, root.1, sampled), None);
        if let Some(open) = &mut span.0 {
            (open.record.links, open.record.links_dropped) = (links, dropped);
        }
        span
    }

    fn begin(
        service: &'static str,
        kind: SpanKind,
        name: Cow<'static, str>,
        parent: Option<TraceContext>,
        trace_id: Option<u128>,
    ) -> Self {
        let fresh = TraceContext::new_root().raw();
        let trace_id = parent.map(|parent| parent.raw().0).or(trace_id).unwrap_or(fresh.0);
        let sampled = traces::samples(parent, trace_id);
        let context = TraceContext::of_span(trace_id, fresh.1, sampled);
        Self::open(service, kind, name, context, parent.map(|parent| parent.raw().1))
    }

    fn open(
        service: &'static str,
        kind: SpanKind,
        name: Cow<'static, str>,
        context: TraceContext,
        parent: Option<u64>,
    ) -> Self {
        if !context.is_sampled() {
            traces::remember(context, parent);
        }
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            context,
            parent,
            service,
            kind,
            name,
            began: u64::try_from(began.as_nanos()).unwrap_or(u64::MAX),
            ended: 0,
            attributes: Vec::with_capacity(8),
            links: Vec::new(),
            links_dropped: 0,
            failed: false,
        };
        Span(Some(Box::new(Open { record, since: Instant::now() })))
    }

    /// True when there is nothing to tell.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// What to send along as `traceparent`.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|open| open.record.context)
    }

    /// Says something about it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.record.attributes.push((name, value.into()));
        }
    }

    /// Gives it another name, when that is known only later.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.0 {
            open.record.name = name.into();
        }
    }

    /// Links it to a span of another trace.
    pub fn link(&mut self, to: TraceContext) {
        if let Some(open) = &mut self.0 {
            if open.record.links.len() < MOST_LINKS {
                open.record.links.push(to);
            } else {
                open.record.links_dropped += 1;
            }
        }
    }

    /// It failed: `error.type`, a short word of few. Such a span is exported even where its trace is not sampled.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.0 {
            open.record.failed = true;
            open.record.attributes.push(("error.type", Value::Text(why.into())));
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
        if let Some(mut open) = self.0.take() {
            let took = u64::try_from(open.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            open.record.ended = open.record.began.saturating_add(took);
            traces::end(open.record);
        }
    }
}

/// `http.request.method`: the methods that are known; whatever else somebody sends is `_OTHER`.
pub fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}
