//! What is written together: the rows of a batch as columns, and the one statement around a service's own tables.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use prost::Message;
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;
use viscount_contracts::{Event, EventId};

use crate::failpoint::defect;

/// This moment, to the microsecond: what PostgreSQL keeps. With more, an event would change by being stored.
pub fn now() -> Timestamp {
    to_micros(Timestamp::now())
}

fn to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// An event that is about to happen.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The aggregate's id, the key on the topic.
    pub stream: Uuid,
    /// The aggregate's version after this event; the one before must be the stream's newest.
    pub version: i32,
    /// The id that it keeps through every redelivery.
    pub id: EventId,
    /// Its short name.
    pub kind: &'static str,
    /// The protobuf message.
    pub data: Vec<u8>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// W3C trace context of what caused it.
    pub traceparent: Option<String>,
}

/// What the headers and the key of an event weigh at most on a topic, next to its data: generous.
pub(crate) const AROUND: usize = 1_024;

impl NewEvent {
    /// What it weighs towards the limit of its topic, in bytes.
    pub fn weight(&self) -> usize {
        AROUND + self.data.len()
    }

    /// An event of this moment's making.
    pub fn new<E: Event>(stream: impl Into<Uuid>, version: i32, event: &E, occurred_at: Timestamp) -> Self {
        Self {
            stream: stream.into(),
            version,
            id: EventId::new(),
            kind: E::KIND,
            data: Message::encode_to_vec(event),
            occurred_at: to_micros(occurred_at),
            traceparent: None,
        }
    }

    /// The same, caused by what this trace context names.
    pub fn traced(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }
}

/// What one entity wants written: all of it or nothing.
#[derive(Debug)]
pub struct Entry<P> {
    /// Its events, oldest first; usually of one stream.
    pub events: Vec<NewEvent>,
    /// The event of another service that this is the effect of.
    pub inbox: Option<EventId>,
    /// What the service's own tables need to know.
    pub projection: P,
}

/// Entries that are written by one statement.
pub struct Batch<'a, P> {
    pub(super) entries: &'a [&'a Entry<P>],
}

impl<'a, P> Batch<'a, P> {
    /// These, written together.
    pub(crate) fn of(entries: &'a [&'a Entry<P>]) -> Self {
        Self { entries }
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &'a Entry<P>> + use<'a, P> {
        self.entries.iter().copied()
    }

    /// What the service's own tables need to know, entry by entry.
    pub fn projections(&self) -> impl Iterator<Item = &'a P> + use<'a, P> {
        self.entries().map(|entry| &entry.projection)
    }
}

/// Binds `$1` to `$8`, which [`statement`] uses. A service's own parameters begin at `$9`.
pub fn bind_events<'q, P>(
    query: Query<'q, Postgres, PgArguments>,
    batch: &Batch<'_, P>,
) -> Query<'q, Postgres, PgArguments> {
    let count = batch.entries.iter().map(|entry| entry.events.len()).sum();
    let mut streams = Vec::with_capacity(count);
    let mut versions = Vec::with_capacity(count);
    let mut ids = Vec::with_capacity(count);
    let mut kinds = Vec::with_capacity(count);
    let mut data = Vec::with_capacity(count);
    let mut times = Vec::with_capacity(count);
    let mut traces = Vec::with_capacity(count);
    for event in batch.entries.iter().flat_map(|entry| &entry.events) {
        streams.push(event.stream);
        versions.push(event.version);
        ids.push(event.id.uuid());
        kinds.push(event.kind);
        data.push(event.data.as_slice());
        times.push(event.occurred_at.to_sqlx());
        traces.push(event.traceparent.as_deref());
    }
    let mut inbox: Vec<Uuid> =
        batch.entries.iter().filter_map(|entry| entry.inbox).map(EventId::uuid).collect();
    if defect("defect.dedupe") {
        inbox.clear();
    }
    query.bind(streams).bind(versions).bind(ids).bind(kinds).bind(data).bind(times).bind(traces).bind(inbox)
}

/// The statement that writes a batch: the service's own data-modifying CTEs (name, body), then inbox, then events.
///
/// It returns one row, `position`: that of the batch's last event. The counter row is touched last, after every CTE of
/// the service has run (its `where` asks for their row counts), so that nobody waits for anything else while holding it.
/// `events` are all the rows of `$1…$7`, positioned in the order of the arrays.
pub fn statement(ctes: &[(&str, &str)]) -> String {
    statement_returning(ctes, &[])
}

/// The same, whose one row has these expressions behind `position`: what a service learns from its own CTEs.
pub fn statement_returning(ctes: &[(&str, &str)], columns: &[&str]) -> String {
    let mut sql =
        String::from("with inboxed as (insert into inbox (event_id) select unnest($8::uuid[]) returning 1)");
    for (name, body) in ctes {
        let _ = write!(sql, ",\n{name} as ({body})");
    }
    sql.push_str(
        ",\nhead as (update log_head set position = position + cardinality($1::uuid[])
            where (select count(*) from inboxed)",
    );
    for (name, _) in ctes {
        let _ = write!(sql, " + (select count(*) from {name})");
    }
    sql.push_str(
        " >= 0 returning position),
written as (
    insert into events (position, stream, version, event_id, kind, data, occurred_at, traceparent)
    select head.position - cardinality($1::uuid[]) + e.n, e.stream, e.version, e.event_id, e.kind, e.data, e.at, e.trace
    from head, unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::bytea[], $6::timestamptz[], $7::text[])
        with ordinality as e (stream, version, event_id, kind, data, at, trace, n)
)
select position",
    );
    for column in columns {
        let _ = write!(sql, ", {column}");
    }
    sql.push_str(" from head");
    sql
}
