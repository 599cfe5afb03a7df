//! `viscount migrate`: databases, roles and tables, topics where there are brokers, and schemas where there is a registry,
//! without starting anything that serves.

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
    brokers(env).await?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the topics that are missing, and registers the schemas that are. What is there stays as it is: what should be
/// otherwise is told.
#[cfg(feature = "kafka")]
async fn brokers(env: &Env) -> Result<(), Failure> {
    let Some(log) = crate::stack::brokers(env)? else { return Ok(()) };
    for topic in log.migrate().await.map_err(|error| Failure::doing("the topics", error))? {
        match (topic.created, topic.differences.as_slice()) {
            (true, _) => println!("{} is made", topic.name),
            (false, []) => println!("{} is as it should be", topic.name),
            (false, differences) => println!("{} differs: {}", topic.name, differences.join("; ")),
        }
    }
    for schema in log.register_schemas().await.map_err(|error| Failure::doing("the schemas", error))? {
        let place = format!("{}: version {}, schema {}", schema.subject, schema.version, schema.id);
        match (schema.difference, schema.registered) {
            (Some(difference), _) => println!("{place}; differs: {difference}"),
            (None, true) => println!("{place}, registered now"),
            (None, false) => println!("{place}"),
        }
    }
    Ok(())
}
