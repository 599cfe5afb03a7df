//! What a trace shows of a commit.
//!
//! Each entry has a span of its own, `publish <topic>`: from when its events were handed in to when they are committed and
//! handed to the log. Its context is what its events carry, so that whoever handles one of them continues from there.
//! What the database does is done for a whole batch: one span, `commit <topic>`, in a trace of its own that links to the
//! entries it carries, as they link to it.

use viscount_contracts::Topic;

use super::{CommitError, batch::NewEvent};
use crate::telemetry::{self, LOG_SYSTEM, Span, SpanKind, TraceContext};

/// An entry is handed in: its events are from now on those of its span.
pub(super) fn publishing(topic: Topic, events: &mut [NewEvent]) -> Span {
    if !telemetry::exporting() || events.is_empty() {
        return Span::none();
    }
    let name = format!("publish {topic}");
    let cause = events[0].traceparent.as_deref().and_then(TraceContext::parse);
    let within = telemetry::current_trace();
    // The work that asks is the parent, as long as it is the cause: it knows whether it is a span.
    let mut span = match cause {
        Some(cause) if within.is_none_or(|within| within.trace_id() != cause.trace_id()) => {
            Span::after(topic.service(), SpanKind::Producer, name, Some(cause))
        }
        _ => Span::child(topic.service(), SpanKind::Producer, name),
    };
    span.set("messaging.system", LOG_SYSTEM);
    span.set("messaging.operation.name", "publish");
    span.set("messaging.operation.type", "send");
    span.set("messaging.destination.name", topic.name());
    match &*events {
        [event] => span.set("messaging.message.id", event.id.to_string()),
        events => span.set("messaging.batch.message_count", events.len()),
    }
    span.set("viscount.event.key", events[0].stream.to_string());
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    span.set("viscount.event.type", kinds.join(","));
    let traceparent = span.context().map(|context| context.to_string());
    for event in events {
        event.traceparent.clone_from(&traceparent);
    }
    span
}

/// A batch goes to the database.
pub(super) fn writing<'a>(topic: Topic, entries: impl ExactSizeIterator<Item = &'a Span>) -> Span {
    if !telemetry::exporting() {
        return Span::none();
    }
    let size = entries.len();
    let carried = entries.filter_map(Span::context);
    let mut span = Span::for_many(topic.service(), SpanKind::Client, format!("commit {topic}"), carried);
    span.set("db.system.name", "postgresql");
    span.set("db.operation.name", "commit");
    span.set("db.operation.batch.size", size);
    span
}

/// The batch was refused, or the database was away.
pub(super) fn not_written(batch: &mut Span, error: &sqlx::Error) {
    if batch.is_none() {
        return;
    }
    let code = error.as_database_error().and_then(|refused| refused.code());
    match code {
        Some(code) => {
            let code = code.into_owned();
            batch.set("db.response.status_code", code.clone());
            batch.fail(code);
        }
        None => batch.fail("unavailable"),
    }
}

/// An entry is committed, with this batch, its first event at this position.
pub(super) fn written(entry: &mut Span, batch: &Span, position: i64) {
    if let Some(batch) = batch.context() {
        entry.link(batch);
        entry.set("viscount.log.position", position);
    }
}

/// An entry is not committed. Whoever was slower decides again, and what was done before is done: neither has failed.
pub(super) fn not_committed(entry: &mut Span, error: &CommitError) {
    let why = match error {
        CommitError::Conflict | CommitError::Duplicate => {
            return entry.set("viscount.commit.outcome", outcome(error));
        }
        other => outcome(other),
    };
    entry.fail(why);
}

fn outcome(error: &CommitError) -> &'static str {
    match error {
        CommitError::Conflict => "conflict",
        CommitError::Duplicate => "duplicate",
        CommitError::Refused { .. } => "refused",
        CommitError::Overloaded => "overloaded",
        CommitError::Unavailable => "unavailable",
    }
}
