//! Tables, as rows of a data set.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;
use viscount_contracts::Topic;

use crate::audit::dataset::{
    AvailabilityRow, ChargeRow, Dataset, Event, Handled, KeyRow, Letter, Log, MovementRow, OpenCallRow,
    OrderRow, PaymentRow, PostingRow, PriceRow, ProductRow, RefundRow, ReservationRow, ReturnRow, StockRow,
};

type Done = Result<(), sqlx::Error>;

/// Runs a query and makes something of each of its rows.
async fn all<T>(
    connection: &mut PgConnection,
    query: &'static str,
    into: &mut Vec<T>,
    read: impl Fn(&Columns<'_>) -> Result<T, sqlx::Error>,
) -> Done {
    let mut rows = sqlx::query(query).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        into.push(read(&Columns { row: &row })?);
    }
    Ok(())
}

/// The columns of a row, by their places.
struct Columns<'r> {
    row: &'r PgRow,
}

impl<'r> Columns<'r> {
    fn get<T>(&self, column: usize) -> Result<T, sqlx::Error>
    where
        T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.row.try_get(column)
    }

    /// Microseconds since 1970.
    fn time(&self, column: usize) -> Result<Timestamp, sqlx::Error> {
        Timestamp::from_microsecond(self.get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
    }
}

/// What every service has.
pub async fn chassis(connection: &mut PgConnection, service: Topic, data: &mut Dataset) -> Done {
    let (head, relayed, epoch): (i64, i64, i64) = sqlx::query_as(
        "select (select position from log_head), (select position from log_relay), (select epoch from log_relay)",
    )
    .fetch_one(&mut *connection)
    .await?;
    data.logs.push(Log { service, head_before: None, head, head_after: head, relayed, epoch: Some(epoch) });
    let query = "select position, stream, version, event_id, kind, (extract(epoch from occurred_at) * 1000000)::bigint, data
        from events order by position";
    all(connection, query, &mut data.events, |row| {
        Ok(Event {
            service,
            position: row.get(0)?,
            stream: row.get(1)?,
            version: row.get(2)?,
            id: row.get(3)?,
            kind: service.kind_named(row.get(4)?),
            at: row.time(5)?,
            data: row.get::<&[u8]>(6)?.into(),
        })
    })
    .await?;
    all(connection, "select event_id from inbox", &mut data.handled, |row| {
        Ok(Handled { service, event: row.get(0)? })
    })
    .await?;
    let query = "select consumer, topic, event_id, key, state, error from dead_letters
        union all select consumer, topic, id, null, 'unreadable', error from unreadable_messages";
    all(connection, query, &mut data.letters, |row| {
        Ok(Letter {
            service,
            consumer: row.get(0)?,
            topic: row.get(1)?,
            id: row.get(2)?,
            key: row.get(3)?,
            state: row.get(4)?,
            error: row.get(5)?,
        })
    })
    .await?;
    let query = "select principal, key, status, convert_from(body, 'UTF8'),
            (extract(epoch from created_at) * 1000000)::bigint
        from idempotency_keys order by created_at, principal, key";
    all(connection, query, &mut data.keys, |row| {
        Ok(KeyRow {
            service,
            principal: row.get(0)?,
            key: row.get(1)?,
            status: row.get(2)?,
            body: row.get::<&str>(3)?.into(),
            at: row.time(4)?,
        })
    })
    .await
}

/// order_db
pub async fn orders(connection: &mut PgConnection, data: &mut Dataset) -> Done {
    let query = "select id, customer_id, status, version, total, currency, refunded, lines, reason,
            (extract(epoch from created_at) * 1000000)::bigint, (extract(epoch from updated_at) * 1000000)::bigint
        from orders order by id";
    all(connection, query, &mut data.orders, |row| {
        Ok(OrderRow {
            id: row.get(0)?,
            customer: row.get(1)?,
            status: row.get(2)?,
            version: row.get(3)?,
            total: row.get(4)?,
            currency: row.get(5)?,
            refunded: row.get(6)?,
            lines: row.get::<&str>(7)?.into(),
            reason: row.get::<Option<&str>>(8)?.map(Into::into),
            created_at: row.time(9)?,
            updated_at: row.time(10)?,
        })
    })
    .await?;
    let query = "select product_id, sku, name, amount, currency, on_sale from price_book order by product_id";
    all(connection, query, &mut data.prices, |row| {
        Ok(PriceRow {
            product: row.get(0)?,
            sku: row.get(1)?,
            name: row.get(2)?,
            amount: row.get(3)?,
            currency: row.get(4)?,
            on_sale: row.get(5)?,
        })
    })
    .await
}

/// inventory_db
pub async fn inventory(connection: &mut PgConnection, data: &mut Dataset) -> Done {
    let query =
        "select product_id, location, on_hand::bigint, reserved::bigint, version from stock order by 1, 2";
    all(connection, query, &mut data.stock, |row| {
        Ok(StockRow {
            product: row.get(0)?,
            location: row.get(1)?,
            on_hand: row.get(2)?,
            reserved: row.get(3)?,
            version: row.get(4)?,
        })
    })
    .await?;
    let query = "select id, product_id, location, kind, reservation_id, delta_on_hand::bigint, delta_reserved::bigint,
            version from movements order by id";
    all(connection, query, &mut data.movements, |row| {
        Ok(MovementRow {
            id: row.get(0)?,
            product: row.get(1)?,
            location: row.get(2)?,
            kind: row.get(3)?,
            reservation: row.get(4)?,
            on_hand: row.get(5)?,
            reserved: row.get(6)?,
            version: row.get(7)?,
        })
    })
    .await?;
    let query = "select id, of_order, state, version, products, quantities from reservations order by id";
    all(connection, query, &mut data.reservations, |row| {
        Ok(ReservationRow {
            id: row.get(0)?,
            of_order: row.get(1)?,
            state: row.get(2)?,
            version: row.get(3)?,
            products: row.get::<Vec<Uuid>>(4)?,
            quantities: row.get::<Vec<i32>>(5)?,
        })
    })
    .await
}

/// payment_db
pub async fn payments(connection: &mut PgConnection, data: &mut Dataset) -> Done {
    let query = "select order_id, status, version, amount, currency, captured, refunded, provider_reference
        from payments order by order_id";
    all(connection, query, &mut data.payments, |row| {
        Ok(PaymentRow {
            order: row.get(0)?,
            status: row.get(1)?,
            version: row.get(2)?,
            amount: row.get(3)?,
            currency: row.get(4)?,
            captured: row.get(5)?,
            refunded: row.get(6)?,
            reference: row.get(7)?,
        })
    })
    .await?;
    let query =
        "select refund_id, order_id, state, amount, currency, provider_reference from refunds order by 1";
    all(connection, query, &mut data.refunds, |row| {
        Ok(RefundRow {
            id: row.get(0)?,
            order: row.get(1)?,
            state: row.get(2)?,
            amount: row.get(3)?,
            currency: row.get(4)?,
            reference: row.get(5)?,
        })
    })
    .await?;
    let query = "select transaction_id, account, order_id, amount, currency from ledger order by 1, 2";
    all(connection, query, &mut data.ledger, |row| {
        Ok(PostingRow {
            transaction: row.get(0)?,
            account: row.get(1)?,
            order: row.get(2)?,
            amount: row.get(3)?,
            currency: row.get(4)?,
        })
    })
    .await?;
    let query = "select call_key, order_id, kind, (extract(epoch from opened_at) * 1000000)::bigint
        from open_calls order by 1";
    all(connection, query, &mut data.open_calls, |row| {
        Ok(OpenCallRow { key: row.get(0)?, order: row.get(1)?, kind: row.get(2)?, opened_at: row.time(3)? })
    })
    .await
}

/// product_catalog_db
pub async fn catalog(connection: &mut PgConnection, data: &mut Dataset) -> Done {
    let query = "select product_id, version, sku, name, category, brand, price, currency, archived
        from products order by product_id";
    all(connection, query, &mut data.products, |row| {
        Ok(ProductRow {
            id: row.get(0)?,
            version: row.get(1)?,
            sku: row.get(2)?,
            name: row.get(3)?,
            category: row.get(4)?,
            brand: row.get(5)?,
            price: row.get(6)?,
            currency: row.get(7)?,
            archived: row.get(8)?,
        })
    })
    .await?;
    let query = "select product_id, available, version from availability order by product_id";
    all(connection, query, &mut data.availability, |row| {
        Ok(AvailabilityRow { product: row.get(0)?, available: row.get(1)?, version: row.get(2)? })
    })
    .await
}

/// payment_simulator_db: the provider's own books.
pub async fn simulator(connection: &mut PgConnection, data: &mut Dataset) -> Done {
    let query = "select sequence, idempotency_key, metadata::jsonb ->> 'order_id', amount, currency,
            captured and status = 'succeeded', amount_refunded
        from charges order by sequence";
    all(connection, query, &mut data.charges, |row| {
        Ok(ChargeRow {
            sequence: row.get(0)?,
            key: row.get(1)?,
            order: row.get(2)?,
            amount: row.get(3)?,
            currency: row.get(4)?,
            taken: row.get(5)?,
            returned: row.get(6)?,
        })
    })
    .await?;
    let query = "select sequence, idempotency_key, charge, amount, currency from refunds order by sequence";
    all(connection, query, &mut data.returns, |row| {
        Ok(ReturnRow {
            sequence: row.get(0)?,
            key: row.get(1)?,
            charge: row.get(2)?,
            amount: row.get(3)?,
            currency: row.get(4)?,
        })
    })
    .await
}
