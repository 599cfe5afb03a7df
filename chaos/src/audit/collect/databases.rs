//! One database in one snapshot.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use viscount_contracts::Topic;

use super::{CollectError, rows};
use crate::audit::dataset::Dataset;

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

/// Looks once more where its log ends.
pub async fn heads_again(database: &str, url: &str, data: &mut Dataset) -> Result<(), CollectError> {
    let log = data.logs.iter_mut().find(|log| service(database) == Some(log.service));
    let Some(log) = log else { return Ok(()) };
    in_time(database, async {
        let mut connection = open(url).await?;
        log.head_after =
            sqlx::query_scalar("select position from log_head").fetch_one(&mut connection).await?;
        connection.close().await
    })
    .await
}

async fn in_time(
    database: &str,
    work: impl Future<Output = Result<(), sqlx::Error>>,
) -> Result<(), CollectError> {
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
    // Nobody needs coordination: where it has never run, there is nothing.
    let there: bool =
        sqlx::query_scalar("select to_regclass('log_head') is not null").fetch_one(&mut *connection).await?;
    if !there {
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
