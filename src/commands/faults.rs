//! `viscount faults`: what is to go wrong in the running platform, for demonstrations and tests.

use reqwest::Method;
use serde_json::{Map, Value, json};
use viscount_chassis::config::Env;

use super::{
    actors::{asked, say},
    ops::{OpsClient, OpsError},
};
use crate::{
    cli::{FaultArgs, FaultName, FaultsCommand},
    failure::Failure,
};

const PATH: &str = "/v1/ops/faults";

/// Runs the command to its end.
pub async fn run(command: FaultsCommand, env: &Env) -> Result<(), Failure> {
    match command {
        FaultsCommand::List { service, ops } => {
            let client = OpsClient::open(&ops, env)?;
            list(&client, service.as_deref()).await
        }
        FaultsCommand::Set(args) => {
            let client = OpsClient::open(&args.ops, env)?;
            set(&client, &args).await
        }
        FaultsCommand::Clear { id, service, ops } => {
            let client = OpsClient::open(&ops, env)?;
            clear(&client, service.as_deref(), id.as_deref()).await
        }
    }
}

async fn list(client: &OpsClient, of: Option<&str>) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for service in asked(of) {
        let answer: Value = match client.get(PATH, &[("service", service)]).await {
            Ok(answer) => answer,
            Err(OpsError::Refused { status, detail }) if of.is_none() => {
                eprintln!("viscount: {service}: refused ({status}): {detail}");
                continue;
            }
            Err(error) => return Err(hint(error)),
        };
        for fault in answer["items"].as_array().into_iter().flatten() {
            lines.push(format!("{service:<10} {}", line(fault)));
        }
    }
    lines.push(format!("{} faults in force", lines.len()));
    say(&lines)
}

async fn set(client: &OpsClient, args: &FaultArgs) -> Result<(), Failure> {
    let query = [("service", args.service.as_str())];
    let body = body(args);
    let sent = client.send(Method::POST, PATH, &query, Some(&body), OpsClient::PATIENCE).await;
    let set: Value = sent.map_err(hint)?.json()?;
    say(&[format!("{:<10} {}", args.service, line(&set))])
}

async fn clear(client: &OpsClient, of: Option<&str>, id: Option<&str>) -> Result<(), Failure> {
    let mut cleared = 0;
    for service in asked(of) {
        let query = [("service", service)];
        let path = id.map_or_else(|| PATH.to_owned(), |id| format!("{PATH}/{id}"));
        match client.send(Method::DELETE, &path, &query, None, OpsClient::PATIENCE).await {
            Ok(answer) if id.is_none() => cleared += answer.json::<Value>()?["cleared"].as_u64().unwrap_or(0),
            Ok(_) => cleared += 1,
            // Another service may have it.
            Err(OpsError::NotFound(_)) if id.is_some() => {}
            Err(OpsError::Refused { status, detail }) if of.is_none() => {
                eprintln!("viscount: {service}: refused ({status}): {detail}");
            }
            Err(error) => return Err(hint(error)),
        }
    }
    match id {
        Some(id) if cleared == 0 => Err(Failure::Other(format!("there is no fault {id}"))),
        _ => say(&[format!("{cleared} faults taken back")]),
    }
}

fn hint(error: OpsError) -> Failure {
    match error {
        OpsError::NotFound(told) => {
            Failure::Other(format!("{told} (faults exist where VISCOUNT_FAULTS=1 allows them)"))
        }
        other => other.into(),
    }
}

fn body(args: &FaultArgs) -> Value {
    let kind = match args.kind {
        FaultName::Panic => "panic",
        FaultName::Slow => "slow",
        FaultName::Stuck => "stuck",
        FaultName::ProviderDown => "provider_down",
        FaultName::ProviderSlow => "provider_slow",
        FaultName::DropDatabaseConnections => "drop_database_connections",
    };
    let mut fault = Map::from_iter([("kind".to_owned(), json!(kind))]);
    let texts = [("id", &args.id), ("actor", &args.actor), ("entity", &args.entity)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, json!(text.as_ref()?))));
    let numbers = [
        ("every", args.every),
        ("delay_ms", args.delay_ms),
        ("times", args.times),
        ("expires_in_seconds", args.expires),
    ];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, json!(number?))));
    fault.extend(texts.chain(numbers).map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fault)
}

/// `fault-1 panic order every 50, 3 times so far, 580 s left`
fn line(fault: &Value) -> String {
    let text = |name: &str| fault[name].as_str();
    let mut line = format!("{:<12} {}", text("id").unwrap_or("-"), text("kind").unwrap_or("-"));
    for name in ["actor", "entity"] {
        line.extend(text(name).map(|text| format!(" {text}")));
    }
    for name in ["every", "delay_ms", "times"] {
        line.extend(fault[name].as_u64().map(|number| format!(" {name}={number}")));
    }
    let (injected, left) = (&fault["injected"], &fault["expires_in_seconds"]);
    format!("{line}, happened {injected} times, {left} s left")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::ops::OpsArgs;

    #[test]
    fn only_what_is_said_is_sent() {
        let args = FaultArgs {
            kind: FaultName::Panic,
            service: "orders".to_owned(),
            actor: Some("order".to_owned()),
            entity: None,
            every: Some(50),
            delay_ms: None,
            times: None,
            expires: Some(60),
            id: None,
            ops: OpsArgs::default(),
        };
        let expected = json!({"kind": "panic", "actor": "order", "every": 50, "expires_in_seconds": 60});
        assert_eq!(body(&args), expected);
    }

    #[test]
    fn a_fault_is_a_line() {
        let fault = json!({"id": "fault-1", "kind": "panic", "actor": "order", "every": 50, "injected": 3,
            "expires_in_seconds": 580});
        assert_eq!(line(&fault), "fault-1      panic order every=50, happened 3 times, 580 s left");
    }
}
