//! The temporary tables that stand before the real ones.

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::Replay;

/// What every writer's statement names besides its service's own tables.
const OF_EVERY_SERVICE: [&str; 3] = ["events", "log_head", "inbox"];

/// Makes them, empty, for as long as the connection lasts. From here on this connection finds no other table unless the
/// schema is named: a writer that names one which is not here fails, and does not reach the real one.
pub async fn set(connection: &mut PgConnection, replay: &dyn Replay) -> Result<(), sqlx::Error> {
    connection
        .execute("set temp_buffers = '64MB'; set lock_timeout = '5s'; set statement_timeout = '10min'")
        .await?;
    let own = replay.tables().iter().map(|table| table.name);
    for table in own.chain(replay.others().iter().copied()).chain(OF_EVERY_SERVICE) {
        let sql = format!("create temporary table {table} (like public.{table} including all)");
        connection.execute(AssertSqlSafe(sql)).await?;
    }
    connection
        .execute("insert into pg_temp.log_head (position) values (0); set search_path = pg_temp")
        .await?;
    Ok(())
}
