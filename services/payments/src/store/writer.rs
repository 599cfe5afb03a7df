//! A batch of steps as one statement.

use std::{collections::HashSet, sync::LazyLock};

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;
use viscount_chassis::store::{Batch, Writer, bind_events, statement};

use super::projection::Projection;
use crate::domain::{Charge, RefundState};

/// Writes what steps of payments change.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaymentsWriter;

static SQL: LazyLock<String> = LazyLock::new(|| {
    statement(&[
        (
            "payment",
            "insert into payments as p (order_id, customer_id, status, version, amount, currency, captured, refunded,
                    provider_reference, failure_code, failure_detail, created_at, updated_at)
             select u.*, u.at from unnest($9::uuid[], $10::uuid[], $11::text[], $12::int[], $13::bigint[], $14::text[],
                    $15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::text[], $20::timestamptz[])
                 as u (order_id, customer_id, status, version, amount, currency, captured, refunded, reference, code,
                    detail, at)
             on conflict (order_id) do update set
                 customer_id = coalesce(p.customer_id, excluded.customer_id), status = excluded.status,
                 version = excluded.version, amount = excluded.amount, currency = excluded.currency,
                 captured = excluded.captured, refunded = excluded.refunded,
                 provider_reference = excluded.provider_reference, failure_code = excluded.failure_code,
                 failure_detail = excluded.failure_detail, updated_at = excluded.updated_at
             returning 1",
        ),
        (
            "refund",
            "insert into refunds as r (refund_id, order_id, state, amount, currency, provider_reference, failure_code,
                    failure_detail, created_at, updated_at)
             select u.*, u.at from unnest($21::uuid[], $22::uuid[], $23::text[], $24::bigint[], $25::text[],
                    $26::text[], $27::text[], $28::text[], $29::timestamptz[])
                 as u (refund_id, order_id, state, amount, currency, reference, code, detail, at)
             on conflict (refund_id) do update set
                 state = excluded.state, amount = excluded.amount, provider_reference = excluded.provider_reference,
                 failure_code = excluded.failure_code, failure_detail = excluded.failure_detail,
                 updated_at = excluded.updated_at
             returning 1",
        ),
        (
            "posting",
            "insert into ledger (transaction_id, account, order_id, amount, currency, posted_at)
             select * from unnest($30::uuid[], $31::text[], $32::uuid[], $33::bigint[], $34::text[],
                    $35::timestamptz[])
             returning 1",
        ),
        (
            "opened",
            "insert into open_calls (call_key, order_id, kind, due_at, attempts, opened_at)
             select u.call_key, u.order_id, u.kind, u.due_at, 0, now()
             from unnest($36::uuid[], $37::uuid[], $38::text[], $39::timestamptz[])
                 as u (call_key, order_id, kind, due_at)
             on conflict (call_key) do nothing
             returning 1",
        ),
        ("closed", "delete from open_calls where call_key = any($40::uuid[]) returning 1"),
        (
            "webhook",
            "insert into webhook_events (provider, event_id, received_at)
             select u.*, now() from unnest($41::text[], $42::text[]) as u (provider, event_id)
             returning 1",
        ),
    ])
});

impl Writer for PaymentsWriter {
    type Projection = Projection;

    async fn write(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_, Projection>,
    ) -> Result<i64, sqlx::Error> {
        let mut payments = PaymentColumns::default();
        let mut refunds = RefundColumns::default();
        let mut postings = PostingColumns::default();
        let mut opened = OpenedColumns::default();
        let mut closed: Vec<Uuid> = Vec::new();
        let (mut providers, mut webhooks) = (Vec::new(), Vec::new());
        for projection in batch.projections() {
            payments.add(projection);
            refunds.add(projection);
            postings.add(projection);
            opened.add(projection);
            closed.extend(&projection.closed);
            if let Some(webhook) = &projection.webhook {
                providers.push(webhook.provider.to_owned());
                webhooks.push(webhook.event.clone());
            }
        }
        let query = bind_events(sqlx::query(SQL.as_str()), batch);
        let query = payments.bind(query);
        let query = refunds.bind(query);
        let query = postings.bind(query);
        let query = opened.bind(query);
        let row = query.bind(closed).bind(providers).bind(webhooks).fetch_one(connection).await?;
        row.try_get(0)
    }

    /// The one constraint of ours that an entry may break by coming twice: a webhook that has had its effect.
    async fn blame(&self, pool: &PgPool, batch: &Batch<'_, Projection>) -> Result<Vec<bool>, sqlx::Error> {
        let ids: Vec<_> = batch.projections().filter_map(|projection| projection.webhook.clone()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "select w.provider, w.event_id from unnest($1::text[], $2::text[]) as u (provider, event_id)
             join webhook_events w on w.provider = u.provider and w.event_id = u.event_id",
        )
        .bind(ids.iter().map(|id| id.provider.to_owned()).collect::<Vec<_>>())
        .bind(ids.iter().map(|id| id.event.clone()).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
        let mut seen = rows
            .iter()
            .map(|row| Ok((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?)))
            .collect::<Result<HashSet<_>, sqlx::Error>>()?;
        // The second of two in one batch is to blame as well.
        let mut to_blame = |projection: &Projection| {
            projection
                .webhook
                .as_ref()
                .is_some_and(|id| !seen.insert((id.provider.to_owned(), id.event.clone())))
        };
        Ok(batch.projections().map(&mut to_blame).collect())
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

#[derive(Default)]
struct PaymentColumns {
    orders: Vec<Uuid>,
    customers: Vec<Option<Uuid>>,
    statuses: Vec<&'static str>,
    versions: Vec<i32>,
    amounts: Vec<Option<i64>>,
    currencies: Vec<Option<String>>,
    captured: Vec<i64>,
    refunded: Vec<i64>,
    references: Vec<Option<String>>,
    codes: Vec<Option<String>>,
    details: Vec<Option<String>>,
    times: Vec<SqlTimestamp>,
}

impl PaymentColumns {
    fn add(&mut self, projection: &Projection) {
        let Some((payment, at)) = &projection.payment else { return };
        let (status, reference, failure) = match payment.charge() {
            Charge::Expected => ("expected", None, None),
            Charge::Voided => ("voided", None, None),
            Charge::Pending { .. } => ("pending", None, None),
            Charge::Captured { reference, .. } => ("captured", Some(reference.clone()), None),
            Charge::Failed { code, detail, .. } => ("failed", None, Some((code.clone(), detail.clone()))),
        };
        let (code, detail) = failure.unzip();
        self.orders.push(payment.order().uuid());
        self.customers.push(payment.customer().map(|id| id.uuid()));
        self.statuses.push(status);
        self.versions.push(payment.version());
        self.amounts.push(payment.amount().map(|money| money.amount()));
        self.currencies.push(payment.amount().map(|money| money.currency().to_string()));
        self.captured.push(payment.captured());
        self.refunded.push(payment.refunded());
        self.references.push(reference);
        self.codes.push(code);
        self.details.push(detail);
        self.times.push(at.to_sqlx());
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.orders)
            .bind(self.customers)
            .bind(self.statuses)
            .bind(self.versions)
            .bind(self.amounts)
            .bind(self.currencies)
            .bind(self.captured)
            .bind(self.refunded)
            .bind(self.references)
            .bind(self.codes)
            .bind(self.details)
            .bind(self.times)
    }
}

#[derive(Default)]
struct RefundColumns {
    ids: Vec<Uuid>,
    orders: Vec<Uuid>,
    states: Vec<&'static str>,
    amounts: Vec<i64>,
    currencies: Vec<String>,
    references: Vec<Option<String>>,
    codes: Vec<Option<String>>,
    details: Vec<Option<String>>,
    times: Vec<SqlTimestamp>,
}

impl RefundColumns {
    fn add(&mut self, projection: &Projection) {
        let Some((payment, _)) = &projection.payment else { return };
        for (refund, at) in &projection.refunds {
            let (state, reference, failure) = match &refund.state {
                RefundState::Open => ("open", None, None),
                RefundState::Done { reference } => ("done", Some(reference.clone()), None),
                RefundState::Failed { code, detail } => {
                    ("failed", None, Some((code.clone(), detail.clone())))
                }
            };
            let (code, detail) = failure.unzip();
            self.ids.push(refund.id.uuid());
            self.orders.push(payment.order().uuid());
            self.states.push(state);
            self.amounts.push(refund.amount.amount());
            self.currencies.push(refund.amount.currency().to_string());
            self.references.push(reference);
            self.codes.push(code);
            self.details.push(detail);
            self.times.push(at.to_sqlx());
        }
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.ids)
            .bind(self.orders)
            .bind(self.states)
            .bind(self.amounts)
            .bind(self.currencies)
            .bind(self.references)
            .bind(self.codes)
            .bind(self.details)
            .bind(self.times)
    }
}

#[derive(Default)]
struct PostingColumns {
    transactions: Vec<Uuid>,
    accounts: Vec<&'static str>,
    orders: Vec<Uuid>,
    amounts: Vec<i64>,
    currencies: Vec<String>,
    times: Vec<SqlTimestamp>,
}

impl PostingColumns {
    fn add(&mut self, projection: &Projection) {
        let Some((payment, at)) = &projection.payment else { return };
        for posting in &projection.postings {
            self.transactions.push(posting.transaction);
            self.accounts.push(posting.account);
            self.orders.push(payment.order().uuid());
            self.amounts.push(posting.amount.amount());
            self.currencies.push(posting.amount.currency().to_string());
            self.times.push(at.to_sqlx());
        }
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.transactions)
            .bind(self.accounts)
            .bind(self.orders)
            .bind(self.amounts)
            .bind(self.currencies)
            .bind(self.times)
    }
}

#[derive(Default)]
struct OpenedColumns {
    keys: Vec<Uuid>,
    orders: Vec<Uuid>,
    kinds: Vec<&'static str>,
    due: Vec<SqlTimestamp>,
}

impl OpenedColumns {
    fn add(&mut self, projection: &Projection) {
        let Some((payment, _)) = &projection.payment else { return };
        for (call, due) in &projection.opened {
            self.keys.push(call.key(payment.order()));
            self.orders.push(payment.order().uuid());
            self.kinds.push(call.kind());
            self.due.push(due.to_sqlx());
        }
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query.bind(self.keys).bind(self.orders).bind(self.kinds).bind(self.due)
    }
}
