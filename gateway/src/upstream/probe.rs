//! Asks every instance, again and again, whether it is ready, so that a draining one is not asked for work.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::{MissedTickBehavior, interval};

use super::Upstream;
use super::pool::Instance;

const WITHIN: Duration = Duration::from_secs(1);

/// Probes for ever.
pub(crate) async fn probe(upstream: Arc<Upstream>, every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = upstream.probe_soon.notified() => {}
        }
        let all = upstream
            .pools()
            .iter()
            .flat_map(|pool| pool.members().iter().map(|one| (pool, one.clone())).collect::<Vec<_>>());
        futures_util::future::join_all(all.map(|(pool, instance)| {
            let upstream = &upstream;
            async move {
                let ready = is_ready(upstream, &instance).await;
                if instance.set_ready(ready) {
                    tracing::info!(service = pool.service.name(), instance = %instance.authority, ready, "upstream changed");
                }
            }
        }))
        .await;
    }
}

async fn is_ready(upstream: &Upstream, instance: &Instance) -> bool {
    let answer = upstream.ask(instance, PathAndQuery::from_static("/readyz"), WITHIN).await;
    answer.is_some_and(|answer| answer.status().is_success())
}
