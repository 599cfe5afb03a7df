//! The trace that the current work belongs to (W3C Trace Context).
//!
//! Kept in a task-local: setting it costs nothing to speak of, and every log line can name it whether or not spans are
//! exported. It does not follow a message into another actor's task: put [`current_traceparent`] into the message, and
//! handle it [`in_trace`].

use std::fmt;
use std::future::Future;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: Current;
}

/// Where the current work is.
#[derive(Clone, Copy)]
pub(super) struct Current {
    pub(super) context: TraceContext,
    /// Whether there is such a span, here or at whoever called. A trace that just has an id has no span yet.
    pub(super) is_span: bool,
}

/// One point in a trace.
#[derive(Debug, Clone, Copy)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    /// It came in a header or a message.
    remote: bool,
}

impl PartialEq for TraceContext {
    /// The same point, whichever way it is known.
    fn eq(&self, other: &Self) -> bool {
        (self.trace_id, self.span_id, self.flags) == (other.trace_id, other.span_id, other.flags)
    }
}

impl Eq for TraceContext {}

impl TraceContext {
    /// A new trace. Not sampled by our word: each hop decides.
    pub fn new_root() -> Self {
        TraceContext {
            trace_id: rand::random::<u128>().max(1),
            span_id: rand::random::<u64>().max(1),
            flags: SAMPLED,
            remote: false,
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
        (trace_id != 0 && span_id != 0).then_some(TraceContext { trace_id, span_id, flags, remote: true })
    }

    /// A new step in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        TraceContext { span_id: rand::random::<u64>().max(1), remote: false, ..self }
    }

    /// The id of the trace, 32 hex digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Whether whoever began this trace wants it kept.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Its id for an exemplar: only while traces leave this process, and when this one is sampled.
    pub fn exemplar(self) -> Option<u128> {
        (super::exporting() && self.is_sampled()).then_some(self.trace_id)
    }

    /// The id of the trace, for spans that begin in it.
    pub(super) fn trace(self) -> TraceId {
        TraceId::from(self.trace_id)
    }
}

impl From<&SpanContext> for TraceContext {
    fn from(span: &SpanContext) -> Self {
        TraceContext {
            trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(span.span_id().to_bytes()),
            flags: span.trace_flags().to_u8(),
            remote: span.is_remote(),
        }
    }
}

impl From<TraceContext> for SpanContext {
    /// With the one flag that we know: what else a caller has set is not ours to pass on.
    fn from(at: TraceContext) -> Self {
        let flags = TraceFlags::new(at.flags & SAMPLED);
        SpanContext::new(at.trace(), SpanId::from(at.span_id), flags, at.remote, TraceState::NONE)
    }
}

/// The one flag that there is (W3C Trace Context §3.2.2.5).
const SAMPLED: u8 = 1;

impl fmt::Display for TraceContext {
    /// As a `traceparent` header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: it is written for every event and every call, and formatting three numbers costs four times as much.
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        put_hex(&mut text[3..35], self.trace_id);
        put_hex(&mut text[36..52], self.span_id.into());
        put_hex(&mut text[53..55], self.flags.into());
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn put_hex(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
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
pub fn in_trace<F: Future>(traceparent: Option<&str>, work: F) -> impl Future<Output = F::Output> + use<F> {
    scope(of_message(traceparent), work)
}

pub(super) fn of_message(traceparent: Option<&str>) -> Current {
    match traceparent.and_then(TraceContext::parse) {
        Some(context) => Current { context, is_span: true },
        None => Current { context: TraceContext::new_root(), is_span: false },
    }
}

pub(super) fn scope<F: Future>(current: Current, work: F) -> TaskLocalFuture<Current, F> {
    CURRENT.scope(current, work)
}

/// Runs work at this point of a trace.
pub fn in_context<F: Future>(context: TraceContext, work: F) -> impl Future<Output = F::Output> {
    scope(Current { context, is_span: true }, work)
}

/// Runs a few lines at this point of a trace.
pub(crate) fn sync_in_context<R>(context: TraceContext, work: impl FnOnce() -> R) -> R {
    CURRENT.sync_scope(Current { context, is_span: true }, work)
}

/// The trace that the current work belongs to.
pub fn current_trace() -> Option<TraceContext> {
    current().map(|current| current.context)
}

pub(super) fn current() -> Option<Current> {
    CURRENT.try_with(|current| *current).ok()
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
