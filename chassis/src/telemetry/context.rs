//! The trace that the current work belongs to (W3C Trace Context).
//!
//! Kept in a task-local: setting it costs nothing to speak of, and every log line can name it whether or not spans are
//! exported. It does not follow a message into another actor's task: put [`current_traceparent`] into the message.

use std::fmt;
use std::future::Future;

use opentelemetry::trace::TraceContextExt;
use tracing_opentelemetry::OpenTelemetrySpanExt;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// One point in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// A new trace. Not sampled by our word: each hop decides.
    pub fn new_root() -> Self {
        TraceContext {
            trace_id: rand::random::<u128>().max(1),
            span_id: rand::random::<u64>().max(1),
            flags: 1,
        }
    }

    /// Reads a `traceparent` header (W3C Trace Context §3.2). `None` for anything that is not one.
    pub fn parse(header: &str) -> Option<Self> {
        let bytes = header.as_bytes();
        let separated = bytes.len() >= 55 && bytes[2] == b'-' && bytes[35] == b'-' && bytes[52] == b'-';
        if !separated {
            return None;
        }
        // Version ff is invalid; a later version than 00 may carry more fields after a dash, 00 may not.
        let version = hex(&bytes[..2])?;
        if version == 0xff || (version == 0 && bytes.len() != 55) || (bytes.len() > 55 && bytes[55] != b'-') {
            return None;
        }
        let trace_id = hex(&bytes[3..35])?;
        let span_id = u64::try_from(hex(&bytes[36..52])?).ok()?;
        let flags = u8::try_from(hex(&bytes[53..55])?).ok()?;
        (trace_id != 0 && span_id != 0).then_some(TraceContext { trace_id, span_id, flags })
    }

    /// A new step in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        TraceContext { span_id: rand::random::<u64>().max(1), ..self }
    }

    /// The id of the trace, 32 hex digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Its id for an exemplar: only while traces leave this process, and when this one is sampled.
    pub fn exemplar(self) -> Option<u128> {
        (super::exporting() && self.flags & 1 == 1).then_some(self.trace_id)
    }

    /// As the parent of an OpenTelemetry span.
    pub(crate) fn remote(self) -> opentelemetry::Context {
        use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
        let span = SpanContext::new(
            self.trace_id.into(),
            self.span_id.into(),
            TraceFlags::new(self.flags),
            true,
            TraceState::default(),
        );
        opentelemetry::Context::new().with_remote_span_context(span)
    }
}

impl fmt::Display for TraceContext {
    /// As a `traceparent` header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Lower-case hex alone, as the specification demands.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0u128, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Runs work as part of a trace: of the one named by a `traceparent` that came with an event or a message, else of a
/// new one.
pub fn in_trace<F: Future>(traceparent: Option<&str>, work: F) -> impl Future<Output = F::Output> {
    let context =
        traceparent.and_then(TraceContext::parse).map_or_else(TraceContext::new_root, TraceContext::child);
    in_context(context, work)
}

/// Runs work at this point of a trace.
pub(crate) fn in_context<F: Future>(context: TraceContext, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(context, work)
}

/// Runs a few lines at this point of a trace.
pub(crate) fn sync_in_context<R>(context: TraceContext, work: impl FnOnce() -> R) -> R {
    CURRENT.sync_scope(context, work)
}

/// The trace that the current work belongs to.
pub fn current_trace() -> Option<TraceContext> {
    if super::exporting() {
        let context = tracing::Span::current().context();
        let span = context.span().span_context().clone();
        if span.is_valid() {
            return Some(TraceContext {
                trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
                span_id: u64::from_be_bytes(span.span_id().to_bytes()),
                flags: span.trace_flags().to_u8(),
            });
        }
    }
    local()
}

/// The id of a span's trace for an exemplar: only when it is sampled.
pub(crate) fn exemplar_of(span: &tracing::Span) -> Option<u128> {
    if span.is_none() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let known = span.span_context();
    (known.is_valid() && known.is_sampled()).then(|| u128::from_be_bytes(known.trace_id().to_bytes()))
}

/// The trace in the task-local alone: safe to ask from inside the logging machinery.
pub(super) fn local() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// The `traceparent` to send along with a call, a message or an event of the current work.
pub fn current_traceparent() -> Option<String> {
    current_trace().map(|context| context.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_the_round_trip() {
        assert_eq!(TraceContext::parse(GOOD).unwrap().to_string(), GOOD);
        let root = TraceContext::new_root();
        assert_eq!(TraceContext::parse(&root.to_string()), Some(root));
        assert_eq!(root.child().trace_id(), root.trace_id());
        assert_ne!(root.child(), root);
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        let later = format!("01{}-extra", &GOOD[2..]);
        assert!(TraceContext::parse(&later).is_some(), "a later version may carry more");
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let upper = GOOD.to_uppercase();
        let longer = format!("{GOOD}-extra");
        let cut = &GOOD[..54];
        let version_ff = format!("ff{}", &GOOD[2..]);
        let wide = "é".repeat(40);
        for text in ["", "00", &zero_trace, &zero_span, &upper, &longer, cut, &version_ff, &wide] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn work_knows_its_trace() {
        assert_eq!(current_traceparent(), None);
        let inside = in_trace(Some(GOOD), async { current_trace().unwrap() }).await;
        assert_eq!(inside.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(in_trace(Some("nonsense"), async { current_traceparent() }).await.is_some());
    }
}
