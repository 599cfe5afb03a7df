//! Asking a service for its evidence.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, StatusCode, header, redirect::Policy};
use uuid::Uuid;
use viscount_chassis::explain::Explanation;

use super::peers::Peer;
use crate::workflows::{What, Workflow};

/// How long a service may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 256 * 1024;

/// What one instance has said.
#[derive(Debug, Clone)]
pub struct Told {
    /// Which service.
    pub service: &'static str,
    /// Which of its instances; none when there is none.
    pub instance: Option<String>,
    /// Its evidence, or why there is none.
    pub answer: Result<Explanation, String>,
}

/// What orders says of the order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said<'a> {
    /// Its status.
    pub status: &'a str,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Option<Timestamp>,
}

impl Told {
    /// There is nobody to ask.
    pub fn nobody(service: &'static str) -> Self {
        Self { service, instance: None, answer: Err("no instance of it is registered".to_owned()) }
    }

    /// What orders says of the order.
    pub fn order(&self) -> Option<Said<'_>> {
        let notes = &self.answer.as_ref().ok().filter(|_| self.service == "orders")?.notes;
        let note = notes.iter().find(|note| note.kind == "order")?;
        Some(Said { status: &note.detail, since: note.since?, until: note.until })
    }
}

impl Said<'_> {
    /// True when the view says the same.
    pub fn agrees(&self, workflow: &Workflow) -> bool {
        self.status == workflow.status_name()
    }

    /// What the order waits for, as far as its status says.
    pub fn waits_for(&self) -> Option<What> {
        Some(match self.status {
            "created" => What::StockReservation,
            "validated" => What::Payment,
            "paid" => What::Fulfilment,
            _ => return None,
        })
    }
}

/// Asks.
pub struct Asker {
    http: Client,
}

impl Asker {
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            // The token is for the service, and for nobody in its place.
            .no_proxy()
            .redirect(Policy::none())
            .build()?;
        Ok(Self { http })
    }

    /// What one instance says of a key.
    pub async fn ask(&self, service: &'static str, peer: Peer, key: Uuid, authorization: &str) -> Told {
        let Peer { instance, url } = peer;
        Told { service, instance: Some(instance), answer: self.read(&url, key, authorization).await }
    }

    async fn read(&self, url: &str, key: Uuid, authorization: &str) -> Result<Explanation, String> {
        let request = self.http.get(format!("{url}/v1/ops/explain?key={key}"));
        let mut response = request.header(header::AUTHORIZATION, authorization).send().await.map_err(told)?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > LARGEST {
                return Err("its answer is too large".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| format!("its answer cannot be read: {error}"))
    }
}

fn told(error: reqwest::Error) -> String {
    if error.is_connect() {
        "it cannot be reached".to_owned()
    } else if error.is_timeout() {
        "it does not answer within a second".to_owned()
    } else {
        "its answer is broken off".to_owned()
    }
}
