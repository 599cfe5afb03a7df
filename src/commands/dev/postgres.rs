//! `viscount dev postgres`: a PostgreSQL by itself.

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use tokio::time::interval;
use viscount_chassis::devpg::{DevPostgres, DevPostgresConfig};

use super::{asked_to_end, say};
use crate::{cli::DevPostgresArgs, failure::Failure};

/// How often to look whether the server is still there.
const LOOK: Duration = Duration::from_millis(50);

/// Runs until it is told to end, or the server does.
pub async fn run(args: DevPostgresArgs) -> Result<ExitCode, Failure> {
    let config = DevPostgresConfig {
        max_connections: args.connections,
        port: (args.port != 0).then_some(args.port),
        ..DevPostgresConfig::new(args.data)
    };
    let postgres = DevPostgres::start_bound(config).await?;
    let (port, pid) = (postgres.port(), postgres.pid());
    let url = postgres.admin_url();
    say(&json!({"ready": true, "pid": pid, "port": port, "url": url, "version": postgres.version()}));
    let ended = async {
        let mut looks = interval(LOOK);
        while postgres.pid().is_some() {
            looks.tick().await;
        }
    };
    tokio::select! {
        asked = asked_to_end() => asked?,
        () = ended => return Err(Failure::Other("postgres has ended".to_owned())),
    }
    postgres.stop().await?;
    Ok(ExitCode::SUCCESS)
}
