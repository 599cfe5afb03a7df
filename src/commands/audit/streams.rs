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

/// Compares the streams of `count` orders with their histories, when a platform runs.
pub async fn check(
    world: &World,
    env: &Env,
    home: &Home,
    count: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(gateway) = home.endpoints().ok().and_then(|endpoints| endpoints.gateway) else { return Ok(()) };
    let http = Client::builder().timeout(PATIENCE).build()?;
    if http.get(format!("{gateway}/livez")).send().await.is_err() {
        report.checked(Promise::I6, "not looked at: no platform is running");
        return Ok(());
    }
    let token = token::sign(env, home, Role::Admin, None, 10)?;
    let orders = sqlx::query(
        "select e.stream, array_agg(e.kind order by e.version) from events e
         join (select id from orders where status not in ('created', 'validated', 'paid') order by md5(id::text) limit $1) o
           on o.id = e.stream
         group by e.stream",
    )
    .bind(i64::try_from(count).unwrap_or(i64::MAX))
    .fetch_all(&world.orders)
    .await?;
    report.checked(Promise::I6, format!("{} streams", orders.len()));
    for row in orders {
        let (id, kinds): (Uuid, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
        let story: Vec<_> = (1..).zip(kinds).collect();
        for after in [0, story.len() / 2] {
            let seen = watch(&http, &gateway, &token, id, after).await?;
            // A refund may have come since the history was read.
            if !seen.starts_with(&story[after..]) {
                report.violation(
                    Promise::I6,
                    format!("order {id} after {after}: seen {seen:?}, its history is {:?}", &story[after..]),
                );
            }
        }
    }
    Ok(())
}

async fn watch(http: &Client, gateway: &str, token: &str, order: Uuid, after: usize) -> Result<Vec<(i32, String)>, Failure> {
    let stream = http.get(format!("{gateway}/v1/orders/{order}/stream")).bearer_auth(token);
    let stream = stream.header("Accept", "text/event-stream").header("Last-Event-ID", after.to_string());
    let text = stream.send().await?.error_for_status()?.text().await?;
    let mut seen = Vec::new();
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: serde_json::Value =
            serde_json::from_str(data).map_err(|error| Failure::doing("a stream's event", error))?;
        let version = event["version"].as_i64().and_then(|version| i32::try_from(version).ok()).unwrap_or_default();
        seen.push((version, event["type"].as_str().unwrap_or_default().to_owned()));
    }
    Ok(seen)
}
