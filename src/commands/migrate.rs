//! `viscount migrate`: databases, roles and tables, and topics where there are brokers, without starting anything that
//! serves.

use std::process::ExitCode;

use viscount_chassis::{
    config::Env,
    store::{Database, DatabaseConfig},
};

use crate::{
    failure::Failure,
    home::Home,
    stack::{Part, Server},
};

/// Makes what is missing and brings the rest up to date.
pub async fn run(env: &Env) -> Result<ExitCode, Failure> {
    let home = Home::open(env)?;
    let server = Server::start(env, &home).await?;
    let urls = server.provision(&home, &Part::ALL).await?;
    for part in Part::ALL {
        if let (Some(migrations), Some(name)) = (part.migrations(), part.database()) {
            let database = Database::lazy(&DatabaseConfig::new(urls.of(part)))
                .map_err(|error| Failure::doing(name, error))?;
            database.migrate(migrations).await.map_err(|error| Failure::doing(name, error))?;
            database.close().await;
            println!("{name} is up to date");
        }
    }
    server.stop().await?;
    #[cfg(feature = "kafka")]
    topics(env).await?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the topics that are missing. One that is there stays as it is: what should be otherwise is told.
#[cfg(feature = "kafka")]
async fn topics(env: &Env) -> Result<(), Failure> {
    let Some(log) = crate::stack::brokers(env)? else { return Ok(()) };
    for topic in log.migrate().await.map_err(|error| Failure::doing("the topics", error))? {
        match (topic.created, topic.differences.as_slice()) {
            (true, _) => println!("{} is made", topic.name),
            (false, []) => println!("{} is as it should be", topic.name),
            (false, differences) => println!("{} differs: {}", topic.name, differences.join("; ")),
        }
    }
    Ok(())
}
