//! `viscount actors`: the supervision trees of the running platform, why actors fell, and the way out of quarantine.

mod show;

use std::io::{self, Write as _};

use reqwest::Method;
use serde_json::{Value, json};
use viscount_chassis::config::Env;
use viscount_gateway::routes::Service;

use super::ops::{OpsClient, OpsError};
use crate::{cli::ActorsCommand, failure::Failure};

/// The service that was named, or all behind the gateway.
pub fn asked(service: Option<&str>) -> Vec<&str> {
    service.map_or_else(|| Service::ALL.map(Service::name).to_vec(), |one| vec![one])
}

/// Runs the command to its end.
pub async fn run(command: ActorsCommand, env: &Env) -> Result<(), Failure> {
    match command {
        ActorsCommand::Tree { service, json, ops } => {
            let client = OpsClient::open(&ops, env)?;
            let answers = ask(&client, service.as_deref(), "/v1/ops/actors", &[]).await?;
            match json {
                true => say(&[pretty(&answers)]),
                false => {
                    say(&answers.iter().flat_map(|answer| show::tree(&answer["tree"])).collect::<Vec<_>>())
                }
            }
        }
        ActorsCommand::Exits { service, path, id, limit, json, ops } => {
            let client = OpsClient::open(&ops, env)?;
            let limit = limit.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(path.as_deref().map(|path| ("path", path)));
            query.extend(id.as_deref().map(|id| ("id", id)));
            // A path begins with its service.
            let service = service.or_else(|| path.as_deref()?.split('/').next().map(str::to_owned));
            let answers = ask(&client, service.as_deref(), "/v1/ops/actors/exits", &query).await?;
            let mut exits: Vec<Value> =
                answers.iter().flat_map(|it| it["items"].as_array()).flatten().cloned().collect();
            exits.sort_by(|a, b| b["at"].as_str().cmp(&a["at"].as_str()));
            match json {
                true => say(&[pretty(&exits)]),
                false => say(&show::exits(&exits)),
            }
        }
        ActorsCommand::Release { path, id, ops } => {
            let client = OpsClient::open(&ops, env)?;
            let service = path.split('/').next().unwrap_or_default();
            let body = json!({"path": path, "id": id});
            let query = [("service", service)];
            let sent =
                client.send(Method::POST, "/v1/ops/actors/release", &query, Some(&body), OpsClient::PATIENCE);
            let released: Value = sent.await?.json()?;
            let what = match released["released"].as_bool() {
                Some(false) => "was not quarantined",
                _ => "is released",
            };
            say(&[format!("{path} {id} {what}; {} events go back", released["redriven"])])
        }
    }
}

/// What each service answers. One of several that does not answer is a line on standard error, and the others are shown.
async fn ask(
    client: &OpsClient,
    service: Option<&str>,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Vec<Value>, Failure> {
    let mut answers = Vec::new();
    for name in asked(service) {
        let query: Vec<_> = query.iter().copied().chain([("service", name)]).collect();
        match client.get(path, &query).await {
            Ok(answer) => answers.push(answer),
            Err(OpsError::Refused { status, detail }) if service.is_none() => {
                eprintln!("viscount: {name}: refused ({status}): {detail}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answers)
}

fn pretty(value: &[Value]) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// All at once. Who looks at the first lines only has seen enough.
pub fn say(lines: &[String]) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{}", lines.join("\n")) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("standard output", error))
        }
        _ => Ok(()),
    }
}
