//! What is read: balances and reservations by id, lists for people, what the sweeper and the announcer look for.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgPool, Row};
use uuid::Uuid;
use viscount_contracts::{ProductId, ReservationId};

use crate::domain::{Balance, Level, Location, Portion, Reservation, Sign, State};

fn unreadable(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "not a value that is written".into() }
}

fn location(name: &str) -> Result<Location, sqlx::Error> {
    Location::new(name).map_err(|_| unreadable("location"))
}

/// The balances of these products, those that were never here included.
pub async fn balances(
    pool: PgPool,
    products: Vec<ProductId>,
) -> Result<HashMap<ProductId, Balance>, sqlx::Error> {
    let ids: Vec<Uuid> = products.iter().map(|product| product.uuid()).collect();
    let rows = sqlx::query(
        "select p.id, (select max(e.version) from events e where e.stream = p.id), a.in_stock, a.low,
                s.location, s.on_hand, s.reserved, s.version
         from unnest($1::uuid[]) as p (id)
         left join announced a on a.product_id = p.id
         left join stock s on s.product_id = p.id
         order by p.id, s.location",
    )
    .bind(ids)
    .fetch_all(&pool)
    .await?;
    let mut balances: HashMap<ProductId, Balance> = HashMap::with_capacity(products.len());
    for row in rows {
        let product = ProductId::from(row.try_get::<Uuid, _>(0)?);
        let balance = balances.entry(product).or_insert_with(|| Balance::unknown(product));
        balance.stream = row.try_get::<Option<i32>, _>(1)?.unwrap_or(0);
        if let (Some(in_stock), Some(low)) = (row.try_get(2)?, row.try_get(3)?) {
            balance.sign = Sign { in_stock, low };
        }
        if let Some(name) = row.try_get::<Option<&str>, _>(4)? {
            balance.levels.push(Level {
                location: location(name)?,
                on_hand: row.try_get::<i32, _>(5)?.into(),
                reserved: row.try_get::<i32, _>(6)?.into(),
                version: row.try_get(7)?,
            });
        }
    }
    Ok(balances)
}

/// These reservations with what they hold.
pub async fn reservations(
    pool: PgPool,
    ids: Vec<ReservationId>,
) -> Result<HashMap<ReservationId, Reservation>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query(
        "select r.id, r.of_order, r.state, r.version, r.expires_at, l.product_id, l.location, l.quantity
         from reservations r left join reservation_lines l on l.reservation_id = r.id
         where r.id = any($1) order by r.id, l.product_id, l.location",
    )
    .bind(ids)
    .fetch_all(&pool)
    .await?;
    let mut reservations: HashMap<ReservationId, Reservation> = HashMap::new();
    for row in rows {
        let id = ReservationId::from(row.try_get::<Uuid, _>(0)?);
        let state = State::from_name(row.try_get(2)?).ok_or_else(|| unreadable("state"))?;
        let fresh = Reservation {
            id,
            of_order: row.try_get(1)?,
            state,
            version: row.try_get(3)?,
            portions: Vec::new(),
            short: Vec::new(),
            expires_at: row.try_get::<Option<SqlTimestamp>, _>(4)?.map(SqlTimestamp::to_jiff),
        };
        let reservation = reservations.entry(id).or_insert(fresh);
        if let Some(product) = row.try_get::<Option<Uuid>, _>(5)? {
            reservation.portions.push(Portion {
                product: product.into(),
                location: location(row.try_get(6)?)?,
                quantity: u32::try_from(row.try_get::<i32, _>(7)?).map_err(|_| unreadable("quantity"))?,
            });
        }
    }
    Ok(reservations)
}

/// True when the product has ever been here.
pub async fn is_known(pool: &PgPool, product: ProductId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select 1 from stock where product_id = $1)")
        .bind(product.uuid())
        .fetch_one(pool)
        .await
}

/// A product of which there is little.
#[derive(Debug, Clone)]
pub struct LowStock {
    /// Which.
    pub product: ProductId,
    /// In the house.
    pub on_hand: i64,
    /// Of that, held.
    pub reserved: i64,
}

/// Products with at most `threshold` available, scarcest first, behind the one that is given by its availability and id.
pub async fn low_stock(
    pool: &PgPool,
    threshold: i64,
    after: Option<(i64, Uuid)>,
    limit: i64,
) -> Result<Vec<LowStock>, sqlx::Error> {
    let (available, product) = after.unzip();
    let rows = sqlx::query(
        "select product_id, sum(on_hand)::bigint, sum(reserved)::bigint from stock group by product_id
         having sum(on_hand - reserved) <= $1
            and ($2::bigint is null or (sum(on_hand - reserved)::bigint, product_id) > ($2, $3::uuid))
         order by sum(on_hand - reserved), product_id limit $4",
    )
    .bind(threshold)
    .bind(available)
    .bind(product)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(LowStock {
                product: row.try_get::<Uuid, _>(0)?.into(),
                on_hand: row.try_get(1)?,
                reserved: row.try_get(2)?,
            })
        })
        .collect()
}

/// One line of the ledger as it is stored.
#[derive(Debug, Clone)]
pub struct MovementRow {
    /// Its place in the ledger.
    pub id: i64,
    /// Where.
    pub location: String,
    /// Why.
    pub kind: String,
    /// For whom.
    pub reservation: Option<Uuid>,
    /// Change of what is in the house.
    pub delta_on_hand: i32,
    /// Change of what is held.
    pub delta_reserved: i32,
    /// The version of the stock at that place afterwards.
    pub version: i64,
    /// What a person said about it.
    pub note: Option<String>,
    /// When.
    pub occurred_at: Timestamp,
}

/// A product's ledger, newest first, behind the line with the id `before`.
pub async fn movements(
    pool: &PgPool,
    product: ProductId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<MovementRow>, sqlx::Error> {
    let rows = sqlx::query(
        "select id, location, kind, reservation_id, delta_on_hand, delta_reserved, version, note, occurred_at
         from movements where product_id = $1 and id < $2 order by id desc limit $3",
    )
    .bind(product.uuid())
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(MovementRow {
                id: row.try_get(0)?,
                location: row.try_get(1)?,
                kind: row.try_get(2)?,
                reservation: row.try_get(3)?,
                delta_on_hand: row.try_get(4)?,
                delta_reserved: row.try_get(5)?,
                version: row.try_get(6)?,
                note: row.try_get(7)?,
                occurred_at: row.try_get::<SqlTimestamp, _>(8)?.to_jiff(),
            })
        })
        .collect()
}

/// So long from now on, by the clock that ends it: replicas' may be wrong. In whole milliseconds, so that it reads the
/// same from the database.
pub async fn after(pool: &PgPool, time: Duration) -> Result<Timestamp, sqlx::Error> {
    let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let after =
        sqlx::query_scalar("select date_trunc('milliseconds', now()) + $1 * interval '1 millisecond'");
    after.bind(time).fetch_one(pool).await.map(SqlTimestamp::to_jiff)
}

/// Reservations whose time has run out, oldest first.
pub async fn expired(pool: &PgPool, limit: i64) -> Result<Vec<ReservationId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select id from reservations where state = 'held' and expires_at <= now() order by expires_at limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(ReservationId::from).collect())
}

/// Which of these products, or of all, others know wrongly.
pub async fn mistold(
    pool: &PgPool,
    products: Option<Vec<ProductId>>,
    threshold: u32,
    limit: i64,
) -> Result<Vec<ProductId>, sqlx::Error> {
    let among: Option<Vec<Uuid>> =
        products.map(|products| products.iter().map(|product| product.uuid()).collect());
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select s.product_id
         from (select product_id, sum(on_hand - reserved) as available from stock
               where $1::uuid[] is null or product_id = any($1) group by product_id) s
         left join announced a on a.product_id = s.product_id
         where coalesce(a.in_stock, false) <> (s.available > 0) or coalesce(a.low, true) <> (s.available <= $2)
         order by s.product_id limit $3",
    )
    .bind(among)
    .bind(i64::from(threshold))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(ProductId::from).collect())
}
