//! A table that refuses rows for a while: a constraint that comes and goes.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

use crate::experiment::Rows;

/// The constraint's name.
const NAME: &str = "chaos_refuses";
/// For all of it. The table's lock is asked for again and again, a second each, so that nobody waits behind us for long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds the constraint, or takes it away. Names and condition come from an experiment that was checked.
pub(super) async fn refuse(url: &str, rows: &Rows, refused: bool) -> Result<(), String> {
    let change = match refused {
        true => format!("add constraint {NAME} check ({}) not valid", rows.check),
        false => format!("drop constraint if exists {NAME}"),
    };
    let statement = format!("alter table {} {change}", rows.table);
    let work = async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query("set lock_timeout = '1s'").execute(&mut connection).await?;
        loop {
            match sqlx::query(AssertSqlSafe(statement.as_str())).execute(&mut connection).await {
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {}
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        connection.close().await
    };
    let told = format!("{} of {}", rows.table, rows.database);
    match timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(|error| format!("{told}: {error}")),
        Err(_) => Err(format!("{told}: the table was never free")),
    }
}
