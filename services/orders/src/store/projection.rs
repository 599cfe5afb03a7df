//! Orders as reads and lists see them.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_contracts::{Currency, Money, OrderId, UserId};

use crate::{actors::Deadlines, domain::Status, view::OrderView};

/// The orders table, for reading.
#[derive(Debug, Clone)]
pub struct Orders {
    pool: PgPool,
}

/// Which orders to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this buyer's.
    pub customer: Option<UserId>,
    /// Only in this status.
    pub status: Option<Status>,
    /// Only those accepted after this moment.
    pub created_after: Option<Timestamp>,
    /// Only those accepted before this moment.
    pub created_before: Option<Timestamp>,
    /// Only those older than this one.
    pub before: Option<OrderId>,
    /// At most so many.
    pub limit: i64,
}

/// How many orders wait in a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The status.
    pub status: Status,
    /// All of them.
    pub open: i64,
    /// Those that have waited in it for too long.
    pub stuck: i64,
}

/// An order with its owner.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Whose it is.
    pub customer: UserId,
    /// What it looks like.
    pub view: OrderView,
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "select id, customer_id, status, version, total, currency, refunded, lines, reason, created_at, updated_at
             from orders ",
            $rest
        )
    };
}

impl Orders {
    /// The orders of this database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// One order.
    pub async fn find(&self, id: OrderId) -> Result<Option<Listed>, sqlx::Error> {
        sqlx::query(columns!("where id = $1"))
            .bind(id.uuid())
            .try_map(|row| read(&row))
            .fetch_optional(&self.pool)
            .await
    }

    /// The newest orders that pass the filter.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, sqlx::Error> {
        sqlx::query(columns!(
            "where ($1::uuid is null or customer_id = $1) and ($2::text is null or status = $2)
               and ($3::timestamptz is null or created_at > $3) and ($4::timestamptz is null or created_at < $4)
               and ($5::uuid is null or id < $5)
             order by id desc limit $6"
        ))
        .bind(filter.customer.map(Uuid::from))
        .bind(filter.status.map(Status::name))
        .bind(filter.created_after.map(|at| at.to_sqlx()))
        .bind(filter.created_before.map(|at| at.to_sqlx()))
        .bind(filter.before.map(Uuid::from))
        .bind(filter.limit)
        .try_map(|row| read(&row))
        .fetch_all(&self.pool)
        .await
    }

    /// How many orders wait, by status: of those that a look is promised for, which every order that waits has, the
    /// newest looks first. There is no index on the status, which would make every step of an order more expensive.
    pub async fn waiting(&self, stuck_after: Duration, most: i64) -> Result<Vec<Waiting>, sqlx::Error> {
        sqlx::query(
            "select o.status, count(*) as open,
                    count(*) filter (where o.waits_since < now() - make_interval(secs => $1)) as stuck
             from (select distinct order_id
                   from (select order_id from order_deadlines order by look_at desc, order_id desc limit $2) newest) d
             join orders o on o.id = d.order_id
             where o.status in ('created', 'validated', 'paid') group by o.status",
        )
        .bind(stuck_after.as_secs_f64())
        .bind(most)
        .try_map(|row: PgRow| {
            Ok(Waiting { status: read_status(&row)?, open: row.try_get("open")?, stuck: row.try_get("stuck")? })
        })
        .fetch_all(&self.pool)
        .await
    }

    /// Orders whose status has waited long enough, with that status; the longest overdue first. The looks that are
    /// over are cleared away, or put off until their order will be overdue. An overdue order stays until it is final.
    /// An order that is paid is never overdue: its look is put off by an hour, again and again, so that it is counted.
    pub async fn due(
        &self,
        deadlines: &Deadlines,
        limit: i64,
    ) -> Result<Vec<(OrderId, Status)>, sqlx::Error> {
        sqlx::query(
            "with looked as (
                select d.look_at, d.order_id, o.status, case o.status
                    when 'created' then o.waits_since + make_interval(secs => $1)
                    when 'validated' then o.waits_since + make_interval(secs => $2)
                    when 'paid' then now() + interval '1 hour' end as due_at
                from (select * from order_deadlines where look_at <= now() order by look_at, order_id limit $3) d
                left join orders o on o.id = d.order_id and o.status in ('created', 'validated', 'paid')
             ), cleared as (
                delete from order_deadlines d using looked l
                where d.look_at = l.look_at and d.order_id = l.order_id and (l.due_at <= now()) is not true
             ), put_off as (
                insert into order_deadlines (look_at, order_id)
                select due_at, order_id from looked where due_at > now() on conflict do nothing
             )
             select order_id as id, status from looked where due_at <= now() order by due_at",
        )
        .bind(deadlines.stock.as_secs_f64())
        .bind(deadlines.payment.as_secs_f64())
        .bind(limit)
        .try_map(|row: PgRow| Ok((OrderId::from(row.try_get::<Uuid, _>("id")?), read_status(&row)?)))
        .fetch_all(&self.pool)
        .await
    }
}

fn read(row: &PgRow) -> Result<Listed, sqlx::Error> {
    let customer = UserId::from(row.try_get::<Uuid, _>("customer_id")?);
    let currency: Currency = row.try_get::<String, _>("currency")?.parse().map_err(|_| broken("currency"))?;
    let raw =
        |json: String, what: &str| serde_json::value::RawValue::from_string(json).map_err(|_| broken(what));
    let reason: Option<String> = row.try_get("reason")?;
    let view = OrderView {
        id: OrderId::from(row.try_get::<Uuid, _>("id")?),
        status: read_status(row)?,
        version: row.try_get("version")?,
        customer_id: customer,
        lines: raw(row.try_get("lines")?, "lines")?,
        total: Money::new(row.try_get("total")?, currency),
        refunded: Money::new(row.try_get("refunded")?, currency),
        reason: reason.map(|reason| raw(reason, "reason")).transpose()?,
        created_at: row.try_get::<SqlTimestamp, _>("created_at")?.to_jiff(),
        updated_at: row.try_get::<SqlTimestamp, _>("updated_at")?.to_jiff(),
    };
    Ok(Listed { customer, view })
}

fn read_status(row: &PgRow) -> Result<Status, sqlx::Error> {
    let name: String = row.try_get("status")?;
    Status::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| broken("status"))
}

fn broken(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("orders.{column} is not readable").into())
}
