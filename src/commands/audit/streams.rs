//! I6: what a client sees of an order is its history, from the beginning and from the middle.

use std::time::Duration;

use reqwest::Client;
use sqlx::Row;
use uuid::Uuid;
use viscount_chassis::{auth::Role, config::Env};

use super::{
    report::{Promise, Report},
    world::World,
};
use crate::{commands::token, failure::Failure, home::Home};

const PATIENCE: Duration = Duration::from_secs(15);

/// The door of a platform that runs, opened as an administrator.
pub struct Door {
    http: Client,
    url: String,
    token: String,
}

/// An event as a stream shows it: version and kind.
type Seen = (i32, String);

impl Door {
    /// The door of the platform that runs on this data directory, if one does.
    pub async fn find(env: &Env, home: &Home) -> Result<Option<Self>, Failure> {
        let Some(url) = home.endpoints().ok().and_then(|endpoints| endpoints.gateway) else {
            return Ok(None);
        };
        let http = Client::builder().timeout(PATIENCE).build()?;
        if http.get(format!("{url}/livez")).send().await.is_err() {
            return Ok(None);
        }
        let token = token::sign(env, home, Role::Admin, None, 10)?;
        Ok(Some(Self { http, url, token }))
    }

    /// Any door, for tests.
    #[cfg(test)]
    pub fn at(url: String) -> Self {
        Self { http: Client::new(), url, token: String::new() }
    }

    /// The order's story behind version `after`, to its end.
    async fn watch(&self, order: Uuid, after: usize) -> Result<Vec<Seen>, reqwest::Error> {
        let stream = self.http.get(format!("{}/v1/orders/{order}/stream", self.url)).bearer_auth(&self.token);
        let stream = stream.header("Accept", "text/event-stream").header("Last-Event-ID", after.to_string());
        let text = stream.send().await?.error_for_status()?.text().await?;
        Ok(text.lines().filter_map(|line| line.strip_prefix("data: ")).map(seen).collect())
    }
}

/// Data that is no event is seen as an event that never was.
fn seen(data: &str) -> Seen {
    let event: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    let version =
        event["version"].as_i64().and_then(|version| i32::try_from(version).ok()).unwrap_or_default();
    (version, event["type"].as_str().unwrap_or_default().to_owned())
}

/// Compares the streams of `count` orders with their histories, when a platform runs.
pub async fn check(
    world: &World,
    door: Option<&Door>,
    count: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(door) = door else {
        report.checked(Promise::I6, "not looked at: no platform is running");
        return Ok(());
    };
    // Settled ones: their streams have an end.
    let orders = sqlx::query(
        "select e.stream, array_agg(e.kind order by e.version) from events e
         join (select id from orders where status not in ('created', 'validated', 'paid') order by md5(id::text) limit $1) o
           on o.id = e.stream
         group by e.stream
         having count(*) filter (where e.kind = 'OrderRefundRequested')
             = count(*) filter (where e.kind in ('OrderRefunded', 'OrderRefundFailed'))",
    )
    .bind(i64::try_from(count).unwrap_or(i64::MAX))
    .fetch_all(&world.orders)
    .await?;
    report.checked(Promise::I6, format!("{} streams", orders.len()));
    for row in orders {
        let (id, kinds): (Uuid, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
        let story: Vec<Seen> = (1..).zip(kinds).collect();
        for after in [0, story.len() / 2] {
            let history = &story[after..];
            let wrong = match door.watch(id, after).await {
                Ok(seen) if is_told(&seen, history) => continue,
                Ok(seen) => format!("after {after} its stream shows {seen:?}, its history is {history:?}"),
                Err(error) => format!("after {after} its stream breaks: {error}"),
            };
            report.violation(Promise::I6, format!("order {id}"), wrong);
        }
    }
    Ok(())
}

/// The history and nothing else; only a refund may have come since the history was read.
fn is_told(seen: &[Seen], history: &[Seen]) -> bool {
    let first = history.first().map_or(0, |(version, _)| *version);
    seen.starts_with(history) && (first..).zip(seen).all(|(expected, (version, _))| *version == expected)
}
