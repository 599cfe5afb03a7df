//! Being listed: registered in the background, kept by heartbeats, listed anew when forgotten, gone on good-bye.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;
use viscount_actors::{Restart, Supervisor};

use super::Coordination;
use super::client::{Client, Failure};
use super::pause::Pauses;
use super::wire::Registration;
use crate::http::Health;
use crate::metrics::COORDINATION_REGISTERED;
use crate::seldom::Seldom;

/// How long a good-bye may take, the call in progress included.
const GOODBYE: Duration = Duration::from_secs(1);

/// An instance that is to be listed.
#[derive(Debug, Clone)]
pub struct Member {
    /// Which service it is one of.
    pub service: &'static str,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The program's version.
    pub version: &'static str,
}

/// The instance's place on the list, for as long as the process runs.
pub struct Membership {
    leaving: watch::Sender<bool>,
    left: watch::Receiver<bool>,
}

impl Membership {
    /// Takes the instance off the list: before its port closes, so that nobody sends anything more. Waits for it a
    /// second at the most; without coordination the lease ends by itself.
    pub async fn leave(&self) {
        self.leaving.send_replace(true);
        let _ = timeout(GOODBYE, self.left.clone().wait_for(|left| *left)).await;
    }
}

/// What a readiness report says.
#[derive(Clone, Default)]
struct Standing(Arc<Mutex<Option<Result<(), String>>>>);

impl Standing {
    fn set(&self, service: &'static str, now: Result<(), String>) {
        gauge!(COORDINATION_REGISTERED, "service" => service).set(if now.is_ok() { 1.0 } else { 0.0 });
        *self.0.lock() = Some(now);
    }

    fn report(&self) -> Result<(), String> {
        self.0.lock().clone().unwrap_or_else(|| Err("not registered yet".to_owned()))
    }
}

impl Coordination {
    /// Has an instance listed, from a supervised task. `health` tells how that goes and stays ready whatever it is.
    pub fn join(&self, supervisor: &Supervisor, member: Member, health: Option<&Health>) -> Membership {
        let (leaving, leave) = watch::channel(false);
        let (gone, left) = watch::channel(false);
        let (gone, standing) = (Arc::new(gone), Standing::default());
        if let Some(health) = health {
            let standing = standing.clone();
            health.advise("coordination", move || {
                let standing = standing.report();
                Box::pin(async move { standing })
            });
        }
        // One name for this start of the process, however often the task itself is restarted.
        let (coordination, instance_id, started_at) = (self.clone(), Uuid::now_v7(), jiff::Timestamp::now());
        supervisor.task("registration", Restart::Permanent, move || {
            let (coordination, member) = (coordination.clone(), member.clone());
            let (mut leave, gone, standing) = (leave.clone(), gone.clone(), standing.clone());
            async move {
                let registration = coordination.registration(&member, instance_id, started_at).await;
                let mut tried = false;
                tokio::select! {
                    biased;
                    // An error means that the membership is dropped: nobody waits, and the lease ends by itself.
                    asked = leave.wait_for(|leave| *leave) => if asked.is_err() { std::future::pending().await },
                    never = stay(&coordination.client, member.service, &registration, &standing, &mut tried) => match never {},
                }
                standing.set(member.service, Err("left".to_owned()));
                if tried && let Err(failure) = coordination.client.leave(instance_id).await {
                    tracing::debug!(service = member.service, %failure, "not taken off the list");
                }
                gone.send_replace(true);
                std::future::pending::<Result<(), String>>().await
            }
        });
        Membership { leaving, left }
    }

    async fn registration(
        &self,
        member: &Member,
        instance_id: Uuid,
        started_at: jiff::Timestamp,
    ) -> Registration {
        let host = match &self.advertised_host {
            Some(host) => host.clone(),
            None => host_of(member.addr.ip(), self.client.url()).await,
        };
        Registration {
            service: member.service.to_owned(),
            instance_id,
            address: format!("{host}:{}", member.addr.port()),
            version: member.version.to_owned(),
            lease_seconds: self.lease.as_secs(),
            metadata: BTreeMap::from([
                ("pid".to_owned(), std::process::id().to_string()),
                ("started_at".to_owned(), started_at.to_string()),
            ]),
        }
    }
}

/// Is listed, for ever.
async fn stay(
    client: &Client,
    service: &'static str,
    registration: &Registration,
    standing: &Standing,
    tried: &mut bool,
) -> std::convert::Infallible {
    let (mut pauses, mut refused) = (Pauses::default(), Seldom::default());
    let lease = Duration::from_secs(registration.lease_seconds);
    loop {
        *tried = true;
        match client.register(registration).await {
            Ok(()) => {
                pauses.reset();
                standing.set(service, Ok(()));
                tracing::debug!(service, address = registration.address, "registered");
                keep(client, service, registration.instance_id, lease, standing).await;
                tracing::info!(service, "coordination has forgotten this instance; registering anew");
            }
            Err(failure) => {
                standing.set(service, Err(failure.to_string()));
                if let Failure::Status(status) = failure
                    && refused.is_due()
                {
                    tracing::warn!(service, status, "coordination does not list this instance");
                }
                sleep(pauses.next()).await;
            }
        }
    }
}

/// Heartbeats at a third of the lease, a fifth more or less by chance, until coordination says that it does not know the
/// instance. One that fails is tried again soon: two in a row may be lost without the lease.
async fn keep(client: &Client, service: &'static str, instance: Uuid, lease: Duration, standing: &Standing) {
    let (mut pauses, mut heard) = (Pauses::default(), Instant::now());
    let mut next = (lease / 3).mul_f64(rand::random_range(0.8..=1.2));
    loop {
        sleep(next).await;
        match client.heartbeat(instance).await {
            Ok(true) => {
                heard = Instant::now();
                pauses.reset();
                standing.set(service, Ok(()));
                next = (lease / 3).mul_f64(rand::random_range(0.8..=1.2));
            }
            Ok(false) => return,
            Err(failure) => {
                // Listed until the lease ends, whether we can ask or not.
                if heard.elapsed() >= lease {
                    standing.set(service, Err(failure.to_string()));
                }
                next = pauses.next();
            }
        }
    }
}

/// The address that this machine has towards coordination, where the service listens on every address. Nothing is sent:
/// connecting a datagram socket only looks the way up.
async fn host_of(listening: IpAddr, url: &str) -> String {
    let written = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    if !listening.is_unspecified() {
        return written(listening);
    }
    let look = async {
        let uri: http::Uri = url.parse().ok()?;
        let port = uri.port_u16().unwrap_or(80);
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        for there in tokio::net::lookup_host((host, port)).await.ok()? {
            let here: SocketAddr = if there.is_ipv4() { ([0u8; 4], 0).into() } else { ([0u16; 8], 0).into() };
            let Ok(socket) = tokio::net::UdpSocket::bind(here).await else { continue };
            if socket.connect(there).await.is_ok() {
                return socket.local_addr().ok().map(|addr| addr.ip());
            }
        }
        None
    };
    let found = timeout(Duration::from_secs(2), look).await.ok().flatten();
    written(found.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_everywhere_is_reached_where_coordination_sees_it() {
        let everywhere: IpAddr = [0, 0, 0, 0].into();
        assert_eq!(host_of(everywhere, "http://127.0.0.1:8081").await, "127.0.0.1");
        assert_eq!(host_of([10, 0, 0, 7].into(), "http://127.0.0.1:8081").await, "10.0.0.7");
        assert_eq!(host_of(std::net::Ipv6Addr::LOCALHOST.into(), "http://x").await, "[::1]");
    }
}
