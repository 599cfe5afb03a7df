//! One database in one snapshot.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use viscount_contracts::Topic;

use super::{CollectError, rows};
use crate::audit::dataset::{BUSINESS, Dataset};

/// How long one database may take in all.
const WITHIN: Duration = Duration::from_secs(300);
/// How long one statement may take, for PostgreSQL.
const STATEMENT: &str = "120s";

/// The service that a database belongs to; `None` is the provider simulator.
fn service(database: &str) -> Option<Topic> {
    Some(match database {
        "product_catalog_db" => Topic::Catalog,
        "inventory_db" => Topic::Inventory,
        "order_db" => Topic::Orders,
        "payment_db" => Topic::Payments,
        "identity_db" => Topic::Identity,
        "platform_coordination_db" => Topic::Coordination,
        _ => return None,
    })
}

/// Reads what is in it.
pub async fn read(database: &str, url: &str, data: &mut Dataset) -> Result<(), CollectError> {
    in_time(database, async {
        let mut connection = open(url).await?;
        snapshot(&mut connection, service(database), data).await?;
        connection.close().await
    })
    .await
}

/// Where its log ends. `None` of one that has no log.
pub async fn head(database: &str, url: &str) -> Result<Option<(Topic, i64)>, CollectError> {
    let Some(service) = service(database) else { return Ok(None) };
    in_time(database, async {
        let mut connection = open(url).await?;
        let head = match has_a_log(&mut connection, service).await? {
            true => {
                Some(sqlx::query_scalar("select position from log_head").fetch_one(&mut connection).await?)
            }
            false => None,
        };
        connection.close().await?;
        Ok(head.map(|head| (service, head)))
    })
    .await
}

/// What in it is not done yet, in words.
pub async fn undone(database: &str, url: &str, on_brokers: bool) -> Result<Vec<String>, CollectError> {
    let Some(service) = service(database).filter(|service| BUSINESS.contains(service)) else {
        return Ok(Vec::new());
    };
    let mut questions = vec![];
    if on_brokers {
        questions.push((
            "events that the brokers have not acknowledged",
            "select (select position from log_head) - (select position from log_relay)",
        ));
    }
    match service {
        Topic::Orders => questions.push((
            "orders that wait",
            "select count(*) from orders where status in ('created', 'validated', 'paid')",
        )),
        Topic::Payments => questions.extend([
            ("questions to the provider", "select count(*) from open_calls"),
            ("refunds without an outcome", "select count(*) from refunds where state = 'open'"),
        ]),
        Topic::Inventory => questions.push((
            "products of which others know wrongly whether there is any",
            "select count(*)
             from (select product_id, sum(on_hand - reserved) > 0 as there from stock group by product_id) s
             left join announced a using (product_id)
             where coalesce(a.in_stock, false) <> s.there",
        )),
        _ => {}
    }
    in_time(database, async {
        let mut connection = open(url).await?;
        let mut undone = Vec::new();
        for (what, query) in questions {
            let count: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
            if count != 0 {
                undone.push(format!("{}: {count} {what}", service.service()));
            }
        }
        connection.close().await?;
        Ok(undone)
    })
    .await
}

async fn in_time<T>(
    database: &str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, CollectError> {
    let database = || database.to_owned();
    match tokio::time::timeout(WITHIN, work).await {
        Ok(done) => done.map_err(|error| CollectError::Database { database: database(), error }),
        Err(_) => Err(CollectError::DatabaseLate { database: database(), within: WITHIN }),
    }
}

async fn open(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options =
        options.options([("statement_timeout", STATEMENT), ("default_transaction_read_only", "on")]);
    options.connect().await
}

async fn snapshot(
    connection: &mut PgConnection,
    service: Option<Topic>,
    data: &mut Dataset,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("begin isolation level repeatable read, read only").execute(&mut *connection).await?;
    let Some(service) = service else {
        return rows::simulator(connection, data).await;
    };
    if !has_a_log(connection, service).await? {
        return Ok(());
    }
    rows::chassis(connection, service, data).await?;
    match service {
        Topic::Orders => rows::orders(connection, data).await,
        Topic::Inventory => rows::inventory(connection, data).await,
        Topic::Payments => rows::payments(connection, data).await,
        Topic::Catalog => rows::catalog(connection, data).await,
        Topic::Identity | Topic::Coordination => Ok(()),
    }
}

/// Nobody needs coordination: where it has never run, there is nothing.
async fn has_a_log(connection: &mut PgConnection, service: Topic) -> Result<bool, sqlx::Error> {
    match service {
        Topic::Coordination => {
            sqlx::query_scalar("select to_regclass('log_head') is not null").fetch_one(connection).await
        }
        _ => Ok(true),
    }
}
