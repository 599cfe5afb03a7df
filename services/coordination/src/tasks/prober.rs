//! Asks every instance how it is.
//!
//! Which instance is due is in the database, and whoever takes it puts its next turn off, so replicas share the work. An
//! instance that does not answer is asked at ever longer intervals, a few at a time are asked at once, and each has its
//! time: a silent one holds up nobody.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt, stream};
use metrics::counter;
use reqwest::{Client, redirect};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{
    domain::probed,
    metrics::PROBES,
    registry::Registry,
    store::{self, Instance, Outcome},
};

/// How often the database is asked who is due.
const ROUND: Duration = Duration::from_millis(500);
/// How many are taken in one round.
const PER_ROUND: i64 = 64;
/// How many are asked at once.
const AT_ONCE: usize = 32;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// When an instance is due again that was taken by a replica which then died.
const MEANWHILE: Duration = Duration::from_secs(10);
/// The longest report that is read, in bytes.
const LONGEST: usize = 16 * 1024;

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the client for health checks cannot be made: {0}")]
pub struct ProbeError(#[from] reqwest::Error);

/// Asks instances. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Prober {
    registry: Registry,
    http: Client,
    every: Duration,
}

/// What an instance answered.
struct Answer {
    well: bool,
    checks: Option<String>,
    detail: String,
}

impl Prober {
    /// Asks each instance as often as this.
    pub fn new(registry: Registry, every: Duration) -> Result<Self, ProbeError> {
        // Neither elsewhere nor through a proxy: an instance is asked where it says it is.
        let http = Client::builder()
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { registry, http, every })
    }

    /// Asks for as long as the service lives. Run as a supervised task.
    pub async fn run(self) -> Result<(), Infallible> {
        let mut rounds = interval(ROUND.min(self.every));
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            let due = match store::take_due(self.registry.pool(), PER_ROUND, MEANWHILE).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::debug!(%error, "who is due cannot be found out now");
                    continue;
                }
            };
            let asked = stream::iter(due).map(|instance| self.ask(instance)).buffer_unordered(AT_ONCE);
            let mut asked = std::pin::pin!(asked.ready_chunks(AT_ONCE));
            while let Some(outcomes) = asked.next().await {
                self.keep(outcomes).await;
            }
        }
    }

    async fn ask(&self, instance: Instance) -> Outcome {
        let answer = timeout(PATIENCE, self.answer(&instance))
            .await
            .unwrap_or_else(|_| Answer::none("no answer in time"));
        let outcome = if answer.well { "well" } else { "failed" };
        counter!(PROBES, "outcome" => outcome).increment(1);
        let probe = probed(instance.health, instance.failures, answer.well, self.every);
        Outcome { probe, checks: answer.checks, detail: answer.detail, instance }
    }

    async fn answer(&self, instance: &Instance) -> Answer {
        let request = self.http.get(format!("http://{}/readyz", instance.address));
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return Answer::none("no answer in time"),
            Err(error) if error.is_connect() => return Answer::none("no connection"),
            Err(_) => return Answer::none("no answer"),
        };
        let status = response.status();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            if body.len() + chunk.len() > LONGEST {
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let report: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let checks = report.and_then(|report| report.get("checks").map(ToString::to_string));
        // PostgreSQL keeps no NUL in a text.
        let checks = checks.filter(|checks| !checks.contains("\\u0000"));
        let well = status.is_success();
        let detail = if well { String::new() } else { format!("answered {}", status.as_u16()) };
        Answer { well, checks, detail }
    }

    /// What was found: first that an instance is different now, so that whoever reads `checked_at` sees what it is about.
    async fn keep(&self, outcomes: Vec<Outcome>) {
        for outcome in outcomes.iter().filter(|outcome| outcome.probe.health != outcome.instance.health) {
            match self.registry.is(&outcome.instance, outcome.probe.health, &outcome.detail).await {
                Ok(_) => {
                    let Outcome { instance, probe, detail, .. } = outcome;
                    let (service, health) = (&instance.service, probe.health);
                    tracing::info!(instance = %instance.id, of = service, %health, detail, "instance is different");
                }
                // It is due again in a moment, and found so again.
                Err(error) => tracing::warn!(%error, "what an instance is like cannot be kept now"),
            }
        }
        if let Err(error) = store::save(self.registry.pool(), &outcomes).await {
            tracing::debug!(%error, "answers cannot be kept now");
        }
    }
}

impl Answer {
    fn none(detail: &str) -> Self {
        Self { well: false, checks: None, detail: detail.to_owned() }
    }
}
