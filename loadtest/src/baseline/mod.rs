//! What plain one-row transactions reach on the platform's own PostgreSQL server, in the same run: figures of another
//! machine or another day could not be compared.
//!
//! pgbench runs two scripts (`loadtest/baseline/*.sql`) with 16 clients and prepared statements in a database of its own,
//! which is dropped afterwards. The server's settings stay as they are, fsync among them, and stand in the report.

mod output;
mod programs;
mod server;

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Duration};

use self::{
    programs::Programs,
    server::{Database, Server},
};
use crate::{
    cli::BaselineArgs,
    report::{
        model::{Baseline, Bench},
        terminal,
    },
    stop::Stop,
};

/// Concurrent clients: more than the cores, as many as a service has connections.
const CLIENTS: u32 = 16;
/// What is read of the server.
const SETTINGS: [&str; 8] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
    "commit_delay",
];
/// Tables and their first rows.
const SCHEMA: &str = include_str!("../../baseline/schema.sql");
/// One order as four transactions.
const ORDER_FLOW: &str = include_str!("../../baseline/order_flow.sql");
/// One update of the same row.
const HOT_ROW: &str = include_str!("../../baseline/hot_row.sql");

/// Measures each script for so many seconds on the server at this URL, or else on the data directory's. When that cannot
/// be, the answer says why and what to do about it.
pub async fn measure(url: Option<&str>, data_dir: &Path, seconds: u64, stop: &Stop) -> Baseline {
    let mut baseline = Baseline { seconds, clients: CLIENTS, ..Baseline::default() };
    if let Err(why) = try_measure(url, data_dir, stop, &mut baseline).await {
        baseline.unavailable = Some(why);
    }
    baseline
}

/// Measures, and prints what came out.
pub async fn alone(args: &BaselineArgs, stop: &Stop) -> ExitCode {
    let baseline = measure(args.database_url.as_deref(), &args.data_dir, args.seconds, stop).await;
    print!("{}", terminal::baseline(&baseline));
    match baseline.unavailable {
        None => ExitCode::SUCCESS,
        Some(_) if stop.is_asked() => ExitCode::from(crate::INTERRUPTED),
        Some(_) => ExitCode::from(crate::UNUSABLE),
    }
}

async fn try_measure(
    url: Option<&str>,
    data_dir: &Path,
    stop: &Stop,
    baseline: &mut Baseline,
) -> Result<(), String> {
    let programs = Programs::find()?;
    let server = match url {
        Some(url) => Server::parse(url)?,
        None => Server::of(data_dir)?,
    };
    baseline.pgbench = programs.pgbench_version().await?;
    let about = server.ask(&programs, &about()).await?;
    let mut about = about.lines().map(str::to_owned);
    baseline.server = format!("PostgreSQL {}", about.next().unwrap_or_default());
    baseline.settings = SETTINGS.iter().map(|name| (*name).to_owned()).zip(about).collect::<BTreeMap<_, _>>();
    let database = Database::make(&server, &programs, SCHEMA).await?;
    let measured = benches(&database, baseline, stop).await;
    // It goes in any case; that it could not is told when nothing else is.
    let gone = database.remove().await;
    measured.and(gone)
}

async fn benches(database: &Database<'_>, baseline: &mut Baseline, stop: &Stop) -> Result<(), String> {
    baseline.order_flow = Some(bench(database, ORDER_FLOW, baseline.seconds, stop).await?);
    baseline.hot_row = Some(bench(database, HOT_ROW, baseline.seconds, stop).await?);
    Ok(())
}

async fn bench(database: &Database<'_>, script: &str, seconds: u64, stop: &Stop) -> Result<Bench, String> {
    database.settle().await;
    let run = database.pgbench(script, CLIENTS, Duration::from_secs(seconds));
    let output = stop.or(run).await.ok_or("interrupted")??;
    output::parse(&output).ok_or_else(|| format!("pgbench said something else than expected: {output}"))
}

/// The server's version and settings, a line each.
fn about() -> String {
    let settings = SETTINGS.map(|name| format!("select coalesce(current_setting('{name}', true), '')"));
    format!("select current_setting('server_version') union all {}", settings.join(" union all "))
}
