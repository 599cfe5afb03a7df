//! The table of workflows: one statement takes in a batch, others read for people.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    fold::{Change, Seen, Workflow},
    kind::Status,
};

/// Takes changes in: adds to what is there where they begin behind it, makes what is not there. Gives the orders that were
/// taken in; the others have seen a part of their change before, or somebody else has just begun with them.
const TAKE: &str = "
with c as (
    select * from unnest($1::uuid[], $2::smallint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[],
        $7::timestamptz[], $8::timestamptz[], $9::uuid[],
        $10::int[], $11::int[], $12::bytea[],
        $13::int[], $14::int[], $15::bytea[], $16::smallint[],
        $17::int[], $18::int[], $19::bytea[], $20::smallint[])
    as c (order_id, status, since, refunds, total, refunded, started, updated, trace,
        o_first, o_seen, o_line, i_first, i_seen, i_line, i_answer, p_first, p_seen, p_line, p_answer)
), changed as (
    update workflows w set
        status = coalesce(c.status, w.status),
        refunds_open = w.refunds_open + c.refunds,
        waiting_since = coalesce(c.since, w.waiting_since),
        started_at = least(w.started_at, c.started),
        updated_at = greatest(w.updated_at, c.updated),
        orders_seen = greatest(w.orders_seen, c.o_seen),
        inventory_seen = greatest(w.inventory_seen, c.i_seen),
        payments_seen = greatest(w.payments_seen, c.p_seen),
        inventory_answer = case c.i_answer when 0 then w.inventory_answer else c.i_answer end,
        payments_answer = case c.p_answer when 0 then w.payments_answer else c.p_answer end,
        trace_id = coalesce(w.trace_id, c.trace),
        total = coalesce(c.total, w.total),
        refunded = coalesce(c.refunded, w.refunded),
        orders_line = w.orders_line || c.o_line,
        inventory_line = w.inventory_line || c.i_line,
        payments_line = w.payments_line || c.p_line
    from c
    where w.order_id = c.order_id
      and (c.o_first = 0 or c.o_first > w.orders_seen)
      and (c.i_first = 0 or c.i_first > w.inventory_seen)
      and (c.p_first = 0 or c.p_first > w.payments_seen)
    returning w.order_id
), made as (
    insert into workflows (order_id, status, refunds_open, waiting_since, started_at, updated_at,
        orders_seen, inventory_seen, payments_seen, inventory_answer, payments_answer, trace_id, total, refunded,
        orders_line, inventory_line, payments_line)
    select order_id, coalesce(status, 0), refunds, coalesce(since, started), started, updated,
        o_seen, i_seen, p_seen, i_answer, p_answer, trace, total, coalesce(refunded, 0), o_line, i_line, p_line
    from c
    where not exists (select from workflows w where w.order_id = c.order_id)
    on conflict (order_id) do nothing
    returning order_id
)
select order_id from changed union all select order_id from made";

/// A connection for [`take`]. Tables that grow from nothing have plans made for nothing: this one goes by the key.
pub async fn prepare(pool: &PgPool, waits_for_disk: bool) -> Result<PgConnection, sqlx::Error> {
    let mut connection = pool.acquire().await?.detach();
    let settings =
        "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set jit = off";
    sqlx::raw_sql(settings).execute(&mut connection).await?;
    if !waits_for_disk {
        sqlx::raw_sql("set synchronous_commit = off").execute(&mut connection).await?;
    }
    Ok(connection)
}

/// Takes changes in, in one statement. Gives the orders whose change was taken in.
pub async fn take(connection: &mut PgConnection, changes: &[Change]) -> Result<Vec<Uuid>, sqlx::Error> {
    let answer =
        |stream: usize| changes.iter().map(|it| i16::from(it.parts[stream].answer)).collect::<Vec<_>>();
    let first = |stream: usize| changes.iter().map(|it| it.parts[stream].first).collect::<Vec<_>>();
    let seen = |stream: usize| changes.iter().map(|it| it.parts[stream].version).collect::<Vec<_>>();
    let line =
        |stream: usize| changes.iter().map(|it| it.parts[stream].timeline.as_slice()).collect::<Vec<_>>();
    let status: Vec<_> = changes.iter().map(|it| it.status.map(Status::code)).collect();
    let since: Vec<_> = changes.iter().map(|it| it.since.map(ToSqlx::to_sqlx)).collect();
    sqlx::query_scalar(TAKE)
        .bind(changes.iter().map(|it| it.order).collect::<Vec<_>>())
        .bind(status)
        .bind(since)
        .bind(changes.iter().map(|it| it.refunds).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.total).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.refunded).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.started.to_sqlx()).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.updated.to_sqlx()).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.trace).collect::<Vec<_>>())
        .bind(first(0))
        .bind(seen(0))
        .bind(line(0))
        .bind(first(1))
        .bind(seen(1))
        .bind(line(1))
        .bind(answer(1))
        .bind(first(2))
        .bind(seen(2))
        .bind(line(2))
        .bind(answer(2))
        .fetch_all(connection)
        .await
}

/// How far these workflows have seen their streams; those that are not there are left out.
pub async fn seen(
    connection: &mut PgConnection,
    orders: &[Uuid],
) -> Result<HashMap<Uuid, Seen>, sqlx::Error> {
    let sql =
        "select order_id, orders_seen, inventory_seen, payments_seen from workflows where order_id = any($1)";
    let rows = sqlx::query(sql)
        .bind(orders)
        .try_map(|row: PgRow| Ok((row.try_get(0)?, [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?])));
    Ok(rows.fetch_all(connection).await?.into_iter().collect())
}

/// Which workflows are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// Those that wait for something.
    Open,
    /// Those that wait since before this moment; one for each of the three waits with a limit of its own: created,
    /// validated, and all others.
    WaitingSince([Timestamp; 3]),
    /// Those that wait for nothing.
    Finished,
}

/// Workflows, the oldest order first, behind this one.
pub async fn list(
    pool: &PgPool,
    wanted: Wanted,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Workflow>, sqlx::Error> {
    let (sql, before) = match wanted {
        Wanted::All => ("true", None),
        Wanted::Open => ("open", None),
        Wanted::WaitingSince(before) => {
            let late = "open and waiting_since < case status when 1 then $3 when 2 then $4 else $5 end";
            (late, Some(before))
        }
        Wanted::Finished => ("not open", None),
    };
    let sql = format!(
        "select * from workflows where ($1::uuid is null or order_id > $1) and status > 0 and {sql}
         order by order_id limit $2"
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(limit);
    for moment in before.into_iter().flatten() {
        query = query.bind(moment.to_sqlx());
    }
    query.try_map(|row| read(&row)).fetch_all(pool).await
}

/// One workflow.
pub async fn find(pool: &PgPool, order: Uuid) -> Result<Option<Workflow>, sqlx::Error> {
    let found = sqlx::query("select * from workflows where order_id = $1").bind(order);
    found.try_map(|row| read(&row)).fetch_optional(pool).await
}

/// Forgets at most `limit` workflows that wait for nothing and whose last event is older than this moment. Says how many.
pub async fn forget(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, sqlx::Error> {
    // Ids made at that moment or later cannot be of older orders.
    let last = uuid_at(before);
    let gone = sqlx::query(
        "delete from workflows where order_id in (
             select order_id from workflows where order_id < $1 and not open and updated_at < $2 order by order_id limit $3
         )",
    );
    let gone = gone.bind(last).bind(before.to_sqlx()).bind(limit).execute(pool).await?;
    Ok(gone.rows_affected())
}

/// The smallest id of version 7 of a moment (RFC 9562, section 5.7: 48 bits of milliseconds first).
fn uuid_at(moment: Timestamp) -> Uuid {
    let millis = u128::try_from(moment.as_millisecond()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

fn read(row: &PgRow) -> Result<Workflow, sqlx::Error> {
    let time = |column: &str| row.try_get::<SqlTimestamp, _>(column).map(SqlTimestamp::to_jiff);
    let answer = |column: &str| row.try_get::<i16, _>(column).map(|code| u8::try_from(code).unwrap_or(0));
    Ok(Workflow {
        order: row.try_get("order_id")?,
        status: Status::from_code(row.try_get("status")?),
        since: time("waiting_since")?,
        refunds: row.try_get("refunds_open")?,
        total: row.try_get("total")?,
        refunded: row.try_get("refunded")?,
        started: time("started_at")?,
        updated: time("updated_at")?,
        trace: row.try_get("trace_id")?,
        seen: [row.try_get("orders_seen")?, row.try_get("inventory_seen")?, row.try_get("payments_seen")?],
        answers: [0, answer("inventory_answer")?, answer("payments_answer")?],
        timelines: [
            row.try_get("orders_line")?,
            row.try_get("inventory_line")?,
            row.try_get("payments_line")?,
        ],
    })
}
