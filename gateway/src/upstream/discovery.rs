//! Where the services are, as coordination tells it.
//!
//! The list is advice. What the gateway sees itself goes before it: its probes and breakers judge every instance as before,
//! and an instance that is no longer listed but still says that it is ready is kept for a while, so that a registry that has
//! lost its memory takes no service away. A service of which nothing is listed keeps the instances that it had. What was
//! listed last is kept in a small file, for a gateway that starts while coordination is away.
//!
//! Services whose instances the configuration names are left alone.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use viscount_chassis::coordination::{Client, HealthState, Instance, follow_instances};

use super::Upstream;
use super::pool::Pool;
use crate::config::MOST_INSTANCES;
use crate::routes::Service;

/// How long an instance is kept that is not listed any more and still says that it is ready.
const LINGER: Duration = Duration::from_secs(30);
/// How often those are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A larger file is none of ours.
const MAX_BYTES: u64 = 256 * 1024;

/// How instances are found.
#[derive(Clone)]
pub struct Discovery {
    /// Asks coordination.
    pub client: Arc<Client>,
    /// The file that keeps what was listed last; none: it is forgotten with the process.
    pub remembered: Option<PathBuf>,
}

/// What is kept in the file.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Remembered {
    service: String,
    address: String,
}

/// Follows the list for ever. `listed` are the services whose instances are found.
pub(crate) async fn discover(upstream: Arc<Upstream>, listed: Vec<Service>, discovery: Discovery) {
    if listed.is_empty() {
        return;
    }
    let (news, mut list) = watch::channel(Vec::new());
    let mut known = Known { listed, unlisted_since: HashMap::new() };
    let mut now = match &discovery.remembered {
        Some(path) => recall(path).await,
        None => Vec::new(),
    };
    known.settle(&upstream, &now);
    let follow = follow_instances(discovery.client.clone(), |instances| {
        news.send_replace(instances);
    });
    let keep = async {
        loop {
            tokio::select! {
                changed = list.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    now = list.borrow_and_update().clone();
                    if let Some(path) = &discovery.remembered
                        && !now.is_empty()
                    {
                        remember(path, &now).await;
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY), if known.has_unlisted() => {}
            }
            known.settle(&upstream, &now);
        }
    };
    tokio::join!(follow, keep);
}

/// What has to be known between two lists.
struct Known {
    listed: Vec<Service>,
    unlisted_since: HashMap<Authority, Instant>,
}

impl Known {
    fn has_unlisted(&self) -> bool {
        !self.unlisted_since.is_empty()
    }

    /// Makes the pools what the list and our own eyes say.
    fn settle(&mut self, upstream: &Upstream, list: &[Instance]) {
        let by_address: BTreeMap<&str, &Instance> =
            list.iter().map(|one| (one.address.as_str(), one)).collect();
        let (mut unlisted, mut changed) = (HashMap::new(), false);
        for pool in upstream.pools().iter().filter(|pool| self.listed.contains(&pool.service)) {
            let Some(wanted) = self.wanted(pool, list, &by_address, &mut unlisted) else { continue };
            changed |= pool.replace(&wanted);
        }
        changed |= unlisted.keys().any(|authority| !self.unlisted_since.contains_key(authority));
        self.unlisted_since = unlisted;
        if changed {
            // Whoever came, or is about to go: is it ready?
            upstream.probe_soon.notify_one();
        }
    }

    /// The instances that a service should have; none: those that it has.
    fn wanted(
        &self,
        pool: &Pool,
        list: &[Instance],
        by_address: &BTreeMap<&str, &Instance>,
        unlisted: &mut HashMap<Authority, Instant>,
    ) -> Option<Vec<Authority>> {
        let mut wanted = listed(pool.service, list);
        if wanted.is_empty() {
            return None;
        }
        let now = Instant::now();
        for member in pool.members().iter() {
            let address = &member.authority;
            // Listed, for this service or another one, is judged by the list.
            if by_address.contains_key(address.as_str()) || wanted.len() >= MOST_INSTANCES {
                continue;
            }
            let since = self.unlisted_since.get(address).copied().unwrap_or(now);
            if member.is_ready() && now.duration_since(since) < LINGER {
                unlisted.insert(address.clone(), since);
                wanted.push(address.clone());
            }
        }
        Some(wanted)
    }
}

/// The listed instances of a service, without those that coordination found unhealthy, unless it found all so.
fn listed(service: Service, list: &[Instance]) -> Vec<Authority> {
    let named = || list.iter().filter(|one| one.service == service.name());
    let authorities = |healthy: bool| -> Vec<Authority> {
        let these = named().filter(|one| !healthy || one.health != HealthState::Unhealthy);
        these
            .filter_map(|one| one.address.parse::<Authority>().ok())
            .filter(|authority| authority.port_u16().is_some_and(|port| port != 0))
            .collect()
    };
    let healthy = authorities(true);
    if healthy.is_empty() { authorities(false) } else { healthy }
}

async fn recall(path: &Path) -> Vec<Instance> {
    let read = async {
        match tokio::fs::metadata(path).await {
            Ok(file) if file.len() > MAX_BYTES => return Err("is too large".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            _ => {}
        }
        let bytes = tokio::fs::read(path).await.map_err(|error| error.to_string())?;
        serde_json::from_slice::<Vec<Remembered>>(&bytes).map_err(|error| error.to_string())
    };
    let remembered = read.await.unwrap_or_else(|problem| {
        tracing::warn!(path = %path.display(), problem, "the instances listed last cannot be read");
        Vec::new()
    });
    let instance = |one: Remembered| Instance {
        service: one.service,
        address: one.address,
        instance_id: uuid::Uuid::nil(),
        health: HealthState::Unknown,
    };
    remembered.into_iter().map(instance).collect()
}

/// Written beside and renamed, so that a reader never sees half of it.
async fn remember(path: &Path, list: &[Instance]) {
    let remembered: Vec<Remembered> = list
        .iter()
        .filter(|one| Service::named(&one.service).is_some() && one.health != HealthState::Unhealthy)
        .map(|one| Remembered { service: one.service.clone(), address: one.address.clone() })
        .collect();
    // A list of texts always serializes.
    let bytes = serde_json::to_vec_pretty(&remembered).unwrap_or_default();
    if tokio::fs::read(path).await.is_ok_and(|present| present == bytes) {
        return;
    }
    // Not the process id: processes in containers that share the folder all have the same one.
    let beside = path.with_extension(format!("new-{}", uuid::Uuid::new_v4().simple()));
    let written = async {
        tokio::fs::write(&beside, &bytes).await?;
        tokio::fs::rename(&beside, path).await
    };
    if let Err(error) = written.await {
        tracing::warn!(path = %path.display(), %error, "the instances listed last cannot be kept");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn instance(service: &str, address: &str, health: HealthState) -> Instance {
        Instance {
            service: service.to_owned(),
            address: address.to_owned(),
            instance_id: uuid::Uuid::nil(),
            health,
        }
    }

    #[test]
    fn unhealthy_ones_are_left_out_unless_none_is_left() {
        use HealthState::{Healthy, Unhealthy, Unknown};
        let list = [
            instance("orders", "10.0.0.1:8084", Healthy),
            instance("orders", "10.0.0.2:8084", Unhealthy),
            instance("orders", "10.0.0.3:8084", Unknown),
            instance("orders", "not an address", Healthy),
            instance("orders", "10.0.0.4", Healthy),
            instance("payments", "10.0.0.5:8087", Unhealthy),
        ];
        assert_eq!(listed(Service::Orders, &list), ["10.0.0.1:8084", "10.0.0.3:8084"]);
        assert_eq!(listed(Service::Payments, &list), ["10.0.0.5:8087"]);
        assert!(listed(Service::Catalog, &list).is_empty());
    }

    #[tokio::test]
    async fn what_was_listed_last_is_read_again_and_nonsense_is_nothing() {
        let home = std::env::temp_dir().join(format!("instances-{}", uuid::Uuid::new_v4().simple()));
        tokio::fs::create_dir(&home).await.unwrap();
        let path = home.join("gateway-instances.json");
        assert!(recall(&path).await.is_empty(), "nothing yet");
        let list = [
            instance("orders", "10.0.0.1:8084", HealthState::Unknown),
            instance("strangers", "10.0.0.2:1", HealthState::Healthy),
        ];
        remember(&path, &list).await;
        assert_eq!(recall(&path).await, list[..1]);
        tokio::fs::write(&path, "[{").await.unwrap();
        assert!(recall(&path).await.is_empty());
        tokio::fs::remove_dir_all(&home).await.unwrap();
    }
}
