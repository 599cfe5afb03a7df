//! The parts of this process on coordination's list, each with its live settings.
//!
//! One place for all parts, so that no service knows that it is listed.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::join_all;
use viscount_actors::{Restart, Supervisor};
use viscount_chassis::{
    config::Env,
    coordination::{
        Coordination, CoordinationConfig, FaultsSetting, LogFilterSetting, Member, Membership, Setting,
        follow_settings,
    },
    http::Health,
};
use viscount_gateway::GatewayHandle;

use super::{Part, Stack};
use crate::failure::Failure;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How this process meets coordination; none where it is told to do without.
pub fn coordination(env: &Env, jwks_url: &str) -> Result<Option<Coordination>, Failure> {
    let Some(config) = CoordinationConfig::from_env(env, jwks_url)? else { return Ok(None) };
    Coordination::new(config).map(Some).map_err(|error| Failure::doing("coordination", error))
}

/// Where this process reaches the coordination that runs in it.
pub fn url_here(addr: SocketAddr) -> String {
    match addr.ip() {
        ip if !ip.is_unspecified() => format!("http://{addr}"),
        IpAddr::V4(_) => format!("http://127.0.0.1:{}", addr.port()),
        IpAddr::V6(_) => format!("http://[::1]:{}", addr.port()),
    }
}

/// Takes all of them off the list, side by side; a second at the most.
pub async fn leave(members: &[Membership]) {
    join_all(members.iter().map(Membership::leave)).await;
}

impl Stack {
    /// Lists the services of this process.
    pub fn join_services(&mut self, coordination: &Coordination) {
        for (running, _) in &self.running {
            let service = Part::listed_as(running.name);
            let member = Member { service, addr: running.addr(), version: VERSION };
            let health = Some(&running.health);
            self.members.push(coordination.join(&running.supervisor, member, health));
            follow(coordination, &running.supervisor, service, Vec::new(), health.cloned());
        }
    }

    /// Lists the gateway of this process.
    pub fn join_gateway(&mut self, coordination: &Coordination, gateway: &GatewayHandle) {
        let service = Part::Gateway.name();
        let member = Member { service, addr: gateway.addr(), version: VERSION };
        self.members.push(coordination.join(&self.tree, member, None));
        follow(coordination, &self.tree, service, vec![gateway.limits()], None);
    }
}

/// Keeps the live settings of a service in force: those that every service has, and `own`.
fn follow(
    coordination: &Coordination,
    supervisor: &Supervisor,
    service: &'static str,
    own: Vec<Arc<dyn Setting>>,
    health: Option<Health>,
) {
    let (client, faults) = (coordination.client(), supervisor.faults());
    supervisor.task("live-settings", Restart::Permanent, move || {
        let mut settings: Vec<Arc<dyn Setting>> =
            vec![Arc::new(LogFilterSetting(service)), Arc::new(FaultsSetting(faults.clone()))];
        settings.extend(own.iter().cloned());
        let following = follow_settings(client.clone(), service, settings, health.clone());
        async move {
            following.await;
            Ok::<(), String>(())
        }
    });
}
