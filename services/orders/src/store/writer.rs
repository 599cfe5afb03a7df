//! Writes a batch of orders: their rows, the answers to remember, and their events, in one statement.

use std::{sync::LazyLock, time::Duration};

use jiff_sqlx::ToSqlx;
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};
use viscount_chassis::{
    idempotency::{self, StoredAnswer},
    store::{Batch, Writer, bind_events, statement},
};

use crate::{book::Change, domain::Order, view};

/// What the tables of this service need to know of one commit.
#[derive(Debug)]
pub enum Projection {
    /// An order began or changed.
    Order {
        /// The order as it is after the commit.
        row: Box<Row>,
        /// The answer to remember under the caller's key.
        answer: Option<StoredAnswer>,
    },
    /// The price book changed.
    Offer(Change),
}

impl Projection {
    fn row(&self) -> Option<&Row> {
        match self {
            Projection::Order { row, .. } => Some(row),
            Projection::Offer(_) => None,
        }
    }

    fn answer(&self) -> Option<&StoredAnswer> {
        match self {
            Projection::Order { answer, .. } => answer.as_ref(),
            Projection::Offer(_) => None,
        }
    }

    fn offer(&self) -> Option<&Change> {
        match self {
            Projection::Offer(change) => Some(change),
            Projection::Order { .. } => None,
        }
    }
}

/// An order as its table has it.
#[derive(Debug)]
pub struct Row {
    /// The order's lines as JSON, with the first commit of an order.
    pub lines: Option<Box<RawValue>>,
    /// The order after the commit.
    pub order: Order,
    /// How long after the commit to look whether it still waits, where no earlier look is promised.
    pub look_after: Option<Duration>,
}

/// Writes orders.
#[derive(Debug, Default, Clone, Copy)]
pub struct OrdersWriter;

static WRITE: LazyLock<String> = LazyLock::new(|| {
    let answers = idempotency::cte(26);
    statement(&[
        (
            "created",
            "insert into orders (id, customer_id, status, version, total, currency, refunded, lines, reason,
                created_at, updated_at)
             select * from unnest($9::uuid[], $10::uuid[], $11::text[], $12::int[], $13::bigint[], $14::text[],
                $15::bigint[], $16::text[], $17::text[], $18::timestamptz[], $18::timestamptz[])
             returning 1",
        ),
        (
            "changed",
            "update orders o set status = u.status, version = u.version, refunded = u.refunded, reason = u.reason,
                updated_at = u.updated_at, waits_since = case when o.status = u.status then o.waits_since else now() end
             from unnest($20::uuid[], $21::text[], $22::int[], $23::bigint[], $24::text[], $25::timestamptz[])
                as u (id, status, version, refunded, reason, updated_at)
             where o.id = u.id and o.version < u.version
             returning 1",
        ),
        (
            "attended",
            // By the database's clock, as all that has to do with deadlines: those of replicas may be wrong.
            "insert into order_deadlines (look_at, order_id)
             select now() + make_interval(secs => u.secs), u.id from unnest($32::float8[], $19::uuid[]) as u (secs, id)
             on conflict do nothing returning 1",
        ),
        ("answered", &answers),
        (
            "offered",
            // Two changes of one product in one batch: the newer one counts.
            "insert into price_book as b (product_id, sku, name, amount, currency, on_sale, version)
             select distinct on (u.id) u.id, u.sku, u.name, u.amount, u.currency, u.on_sale, u.version
             from unnest($33::uuid[], $34::text[], $35::text[], $36::bigint[], $37::text[], $38::bool[], $39::int[])
                as u (id, sku, name, amount, currency, on_sale, version)
             order by u.id, u.version desc
             on conflict (product_id) do update set sku = excluded.sku, name = excluded.name, amount = excluded.amount,
                currency = excluded.currency, on_sale = excluded.on_sale, version = excluded.version
             where b.version < excluded.version
             returning 1",
        ),
    ])
});

impl Writer for OrdersWriter {
    type Projection = Projection;

    async fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, Projection>,
    ) -> Result<i64, sqlx::Error> {
        let rows = || batch.projections().filter_map(Projection::row);
        let new = || rows().filter(|row| row.lines.is_some());
        let old = || rows().filter(|row| row.lines.is_none());
        let looks = || rows().filter_map(|row| Some((row.look_after?.as_secs_f64(), row.order.id.uuid())));

        let query = bind_events(sqlx::query(WRITE.as_str()), batch)
            .bind(new().map(|row| row.order.id.uuid()).collect::<Vec<_>>())
            .bind(new().map(|row| row.order.customer.uuid()).collect::<Vec<_>>())
            .bind(new().map(|row| row.order.status.name()).collect::<Vec<_>>())
            .bind(new().map(|row| row.order.version).collect::<Vec<_>>())
            .bind(new().map(|row| row.order.total.amount()).collect::<Vec<_>>())
            .bind(new().map(|row| row.order.total.currency().to_string()).collect::<Vec<_>>())
            .bind(new().map(|row| row.order.refunded().amount()).collect::<Vec<_>>())
            .bind(rows().filter_map(|row| row.lines.as_ref().map(|lines| lines.get())).collect::<Vec<_>>())
            .bind(new().map(|row| view::reason_json(&row.order)).collect::<Vec<_>>())
            .bind(new().map(|row| row.order.created_at.to_sqlx()).collect::<Vec<_>>())
            .bind(looks().map(|(_, order)| order).collect::<Vec<_>>())
            .bind(old().map(|row| row.order.id.uuid()).collect::<Vec<_>>())
            .bind(old().map(|row| row.order.status.name()).collect::<Vec<_>>())
            .bind(old().map(|row| row.order.version).collect::<Vec<_>>())
            .bind(old().map(|row| row.order.refunded().amount()).collect::<Vec<_>>())
            .bind(old().map(|row| view::reason_json(&row.order)).collect::<Vec<_>>())
            .bind(old().map(|row| row.order.updated_at.to_sqlx()).collect::<Vec<_>>());
        let answers = batch.projections().filter_map(Projection::answer);
        let offers = || batch.projections().filter_map(Projection::offer);
        let query = idempotency::bind(query, answers)
            .bind(looks().map(|(at, _)| at).collect::<Vec<_>>())
            .bind(offers().map(|change| change.product.uuid()).collect::<Vec<_>>())
            .bind(offers().map(|change| change.offer.sku.clone()).collect::<Vec<_>>())
            .bind(offers().map(|change| change.offer.name.clone()).collect::<Vec<_>>())
            .bind(offers().map(|change| change.offer.price.amount()).collect::<Vec<_>>())
            .bind(offers().map(|change| change.offer.price.currency().code().to_owned()).collect::<Vec<_>>())
            .bind(offers().map(|change| change.offer.on_sale).collect::<Vec<_>>())
            .bind(offers().map(|change| change.version).collect::<Vec<_>>());
        sqlx::Row::try_get(&query.fetch_one(connection).await?, 0)
    }

    async fn blame(&self, pool: &PgPool, batch: &Batch<'_, Projection>) -> Result<Vec<bool>, sqlx::Error> {
        let claims: Vec<_> =
            batch.projections().map(|projection| projection.answer().map(|answer| &answer.claim)).collect();
        idempotency::taken(pool, &claims).await
    }
}
