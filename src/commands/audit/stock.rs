//! I1: reserved + sold ≤ received, at every version; and the movements and reservations that explain it.

use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::{
    report::{Promise, Report},
    world::World,
};
use crate::failure::Failure;

/// Checks the ledger of movements against itself, against the stock and against the reservations.
pub async fn check(world: &World, report: &mut Report) -> Result<(), Failure> {
    let pool = &world.inventory;
    let (movements, products): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct product_id) from movements").fetch_one(pool).await?;
    report.checked(Promise::I1, format!("{movements} movements of {products} products"));
    every_version(pool, report).await?;
    balances(pool, report).await?;
    holds(pool, report).await?;
    versions(pool, report).await?;
    reservations(pool, report).await
}

/// What is on hand is what was received less what was sold; so `reserved <= on hand` is the promise itself.
async fn every_version(pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let torn = sqlx::query(
        "with step as (
            select product_id, location, version, sum(delta_on_hand) as held, sum(delta_reserved) as reserved
            from movements group by 1, 2, 3
         ), running as (
            select product_id, location, version,
                sum(held) over w as on_hand, sum(reserved) over w as reserved
            from step window w as (partition by product_id, location order by version)
         )
         select product_id, location, version, on_hand::bigint, reserved::bigint from running
         where reserved < 0 or reserved > on_hand order by 1, 2, 3 limit 1000",
    )
    .fetch_all(pool)
    .await?;
    for row in torn {
        let (of, version): (String, i64) = (shelf(&row)?, row.try_get(2)?);
        let (on_hand, reserved): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        report.violation(
            Promise::I1,
            of,
            format!("at version {version} {reserved} were reserved of {on_hand} on hand"),
        );
    }
    Ok(())
}

/// The stock is the sum of its movements, and what is reserved is what reservations hold.
async fn balances(pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let differing = sqlx::query(
        "select product_id, location, coalesce(s.on_hand, 0)::bigint, coalesce(s.reserved, 0)::bigint,
            coalesce(m.on_hand, 0)::bigint, coalesce(m.reserved, 0)::bigint, coalesce(l.quantity, 0)::bigint
         from stock s
         full join (select product_id, location, sum(delta_on_hand) as on_hand, sum(delta_reserved) as reserved
                    from movements group by 1, 2) m using (product_id, location)
         full join (select product_id, location, sum(quantity) as quantity
                    from reservation_lines l join reservations r on r.id = l.reservation_id and r.state = 'held'
                    group by 1, 2) l using (product_id, location)
         where coalesce(s.on_hand, 0) <> coalesce(m.on_hand, 0)
            or coalesce(s.reserved, 0) <> coalesce(m.reserved, 0)
            or coalesce(s.reserved, 0) <> coalesce(l.quantity, 0)
         order by 1, 2 limit 1000",
    )
    .fetch_all(pool)
    .await?;
    for row in differing {
        let figure = |column: usize| row.try_get::<i64, _>(column);
        report.violation(
            Promise::I1,
            shelf(&row)?,
            format!(
                "the stock says {} on hand and {} reserved, its movements {} and {}, its reservations {} reserved",
                figure(2)?,
                figure(3)?,
                figure(4)?,
                figure(5)?,
                figure(6)?
            ),
        );
    }
    Ok(())
}

/// What each reservation has moved is what its state says: nothing is given back, or sold, twice or for somebody else.
async fn holds(pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let wrong = sqlx::query(
        "select reservation_id, product_id, coalesce(w.state, 'missing'), coalesce(w.quantity, 0)::bigint,
            coalesce(m.on_hand, 0)::bigint, coalesce(m.reserved, 0)::bigint
         from (select reservation_id, product_id, location,
                   sum(delta_on_hand) as on_hand, sum(delta_reserved) as reserved
               from movements where reservation_id is not null group by 1, 2, 3) m
         full join (select l.reservation_id, l.product_id, l.location, l.quantity, r.state
                    from reservation_lines l join reservations r on r.id = l.reservation_id) w
             using (reservation_id, product_id, location)
         where (w.state is null) or (m.on_hand is null)
            or m.on_hand <> (case when w.state = 'sold' then -w.quantity else 0 end)
            or m.reserved <> (case when w.state = 'held' then w.quantity else 0 end)
         order by 1, 2 limit 1000",
    )
    .fetch_all(pool)
    .await?;
    for row in wrong {
        let (id, product, state): (Uuid, Uuid, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (pieces, on_hand, reserved): (i64, i64, i64) =
            (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        report.violation(
            Promise::I1,
            format!("reservation {id}"),
            format!(
                "{state} over {pieces} of product {product}, and its movements come to {on_hand} on hand and \
                 {reserved} reserved"
            ),
        );
    }
    Ok(())
}

/// Each version of a stock row has its movements.
async fn versions(pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let torn = sqlx::query(
        "select product_id, location, coalesce(s.version, 0), coalesce(m.newest, 0), coalesce(m.versions, 0)
         from stock s
         full join (select product_id, location, max(version) as newest, count(distinct version) as versions
                    from movements group by 1, 2) m using (product_id, location)
         where s.version is distinct from m.newest or m.newest <> m.versions order by 1, 2 limit 1000",
    )
    .fetch_all(pool)
    .await?;
    for row in torn {
        let (stock, newest, versions): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        report.violation(
            Promise::I5,
            shelf(&row)?,
            format!("the stock has version {stock}, its movements {versions} versions up to {newest}"),
        );
    }
    Ok(())
}

/// Reservations are what their events say.
async fn reservations(pool: &PgPool, report: &mut Report) -> Result<(), Failure> {
    let differing = sqlx::query(
        "with told as (
            select distinct on (stream) stream as id, version, case kind
                when 'InventoryReserved' then array['held'] when 'InventoryRejected' then array['rejected']
                when 'InventoryDeducted' then array['sold'] else array['released', 'expired'] end as states
            from events
            where kind in ('InventoryReserved', 'InventoryRejected', 'InventoryReleased', 'InventoryDeducted')
            order by stream, version desc
         )
         select id, coalesce(r.state, 'missing'), coalesce(r.version, 0), coalesce(told.states[1], 'nothing'),
             coalesce(told.version, 0)
         from reservations r full join told using (id)
         where r.version is distinct from coalesce(told.version, 0)
            or (told.id is not null and not r.state = any (told.states))
            or (told.id is null and r.state not in ('released', 'expired', 'sale_noted'))
         order by id limit 1000",
    )
    .fetch_all(pool)
    .await?;
    for row in differing {
        let (id, state, version): (Uuid, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (told, newest): (String, i32) = (row.try_get(3)?, row.try_get(4)?);
        report.violation(
            Promise::I5,
            format!("reservation {id}"),
            format!("the table says {state} v{version}, its events say {told} v{newest}"),
        );
    }
    Ok(())
}

fn shelf(row: &sqlx::postgres::PgRow) -> Result<String, sqlx::Error> {
    let (product, location): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(format!("product {product} at {location}"))
}
