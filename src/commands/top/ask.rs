//! What is asked of the platform, and how. Every question has a time limit and a bound.

use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    data::{Actors, Ended, Exits, Instance, Node, Readiness, Registry, Workflow, Workflows},
    exposition::Exposition,
    figures,
};
use crate::commands::{OpsClient, OpsError};

/// How long an answer may take: longer than a slow service, shorter than an operator's patience.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The most orders and exits that are asked for.
const AT_MOST: &str = "50";
/// The header field that tells which process an exposition is of.
const PROCESS_ID: &str = viscount_chassis::telemetry::metrics::PROCESS_ID;

/// A question. Two that are equal are never under way at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ask {
    /// How the gateway and the services behind it are.
    Readiness,
    /// Who is registered.
    Registry,
    /// The metrics of the process behind this name.
    Metrics(String),
    /// The actors of this service.
    Actors(String),
    /// Orders that are not finished, the oldest first.
    Workflows,
    /// The last ends of this actor.
    Exits {
        /// Its service.
        service: String,
        /// Its path.
        path: String,
    },
    /// Why this order is not finished.
    Why(String),
}

/// An answer, or why there is none.
#[derive(Debug)]
pub enum Told {
    /// To [`Ask::Readiness`].
    Readiness(Result<Readiness, OpsError>),
    /// To [`Ask::Registry`].
    Registry(Result<Vec<Instance>, OpsError>),
    /// To [`Ask::Metrics`] of that service.
    Metrics(String, Result<Scrape, OpsError>),
    /// To [`Ask::Actors`] of that service.
    Actors(String, Result<Box<Node>, OpsError>),
    /// To [`Ask::Workflows`].
    Workflows(Result<Vec<Workflow>, OpsError>),
    /// To [`Ask::Exits`] of that service and path.
    Exits(String, String, Result<Vec<Ended>, OpsError>),
    /// To [`Ask::Why`] of that order.
    Why(String, Result<Value, OpsError>),
}

/// What a process says.
#[derive(Debug)]
pub struct Scrape {
    /// Which: services may share one, and behind a gateway another replica may answer next.
    pub process: String,
    /// What.
    pub exposition: Exposition,
}

impl Told {
    /// The question.
    pub fn to(&self) -> Ask {
        match self {
            Told::Readiness(_) => Ask::Readiness,
            Told::Registry(_) => Ask::Registry,
            Told::Metrics(service, _) => Ask::Metrics(service.clone()),
            Told::Actors(service, _) => Ask::Actors(service.clone()),
            Told::Workflows(_) => Ask::Workflows,
            Told::Exits(service, path, _) => Ask::Exits { service: service.clone(), path: path.clone() },
            Told::Why(order, _) => Ask::Why(order.clone()),
        }
    }
}

/// Asks the platform.
pub async fn ask(client: &OpsClient, ask: Ask) -> Told {
    let workflows = [("state", "running"), ("limit", AT_MOST)];
    match ask {
        Ask::Readiness => Told::Readiness(readiness(client).await),
        Ask::Registry => {
            Told::Registry(get(client, "/v1/services", &[]).await.map(|registry: Registry| registry.items))
        }
        Ask::Workflows => {
            let page: Result<Workflows, _> = get(client, "/v1/workflows", &workflows).await;
            Told::Workflows(page.map(|page| page.items))
        }
        Ask::Metrics(service) => {
            let scrape = metrics(client, &service).await;
            Told::Metrics(service, scrape)
        }
        Ask::Actors(service) => {
            let actors: Result<Actors, _> = get(client, "/v1/ops/actors", &[("service", &service)]).await;
            Told::Actors(service, actors.map(|actors| Box::new(actors.tree)))
        }
        Ask::Exits { service, path } => {
            let query = [("service", service.as_str()), ("path", &path), ("limit", AT_MOST)];
            let exits: Result<Exits, _> = get(client, "/v1/ops/actors/exits", &query).await;
            Told::Exits(service, path, exits.map(|exits| exits.items))
        }
        Ask::Why(order) => {
            let why = get(client, &format!("/v1/ops/orders/{order}/why"), &[]).await;
            Told::Why(order, why)
        }
    }
}

async fn get<T: DeserializeOwned>(
    client: &OpsClient,
    path: &str,
    query: &[(&str, &str)],
) -> Result<T, OpsError> {
    client.send(Method::GET, path, query, None, PATIENCE).await?.json()
}

async fn readiness(client: &OpsClient) -> Result<Readiness, OpsError> {
    match get(client, "/readyz", &[]).await {
        // The gateway answers, and nobody is behind it.
        Err(OpsError::Refused { status: 503, .. }) => {
            Ok(Readiness { status: "unavailable".to_owned(), ..Readiness::default() })
        }
        other => other,
    }
}

/// The metrics of the process behind this service.
pub async fn metrics(client: &OpsClient, service: &str) -> Result<Scrape, OpsError> {
    let query = [("service", service)];
    let answer = client.send(Method::GET, "/v1/ops/metrics", &query, None, PATIENCE).await?;
    let said = answer.headers.get(PROCESS_ID).and_then(|value| value.to_str().ok());
    let process = said.unwrap_or(service).to_owned();
    let text = String::from_utf8_lossy(&answer.body);
    let exposition = Exposition::parse(&text, |name| figures::WANTED.contains(&name))
        .map_err(|error| OpsError::Unreadable { url: client.url().to_owned(), why: error.to_string() })?;
    Ok(Scrape { process, exposition })
}
