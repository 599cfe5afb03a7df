//! The door itself: listening, connections, and closing in good order.
//!
//! Closing goes in two steps. *Draining*: no new connections, kept ones end with the answer under way, `/readyz` says
//! so. *Closed*, at the deadline: upgraded connections and whatever is left are cut.

mod connection;
mod listener;
mod phase;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use viscount_chassis::auth::Verifier;
use viscount_chassis::coordination::Setting;
use viscount_chassis::resilience::keyed_limiter::janitor;

pub(crate) use connection::Peer;
pub(crate) use phase::{Phase, PhaseSwitch, PhaseWatch};

use crate::config::{Auth, GatewayConfig};
use crate::door::{Door, LiveLimits};
use crate::upstream::discovery::discover;
use crate::upstream::probe::probe;

/// How often forgotten callers are swept out of the limiters.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How long cut connections may take to be gone.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {addr} (set by VISCOUNT_HOST and VISCOUNT_PORT): {error}")]
    Listen {
        /// Where it should have listened.
        addr: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A running gateway. Dropped, it closes at once.
pub struct GatewayHandle {
    addr: SocketAddr,
    phase: PhaseSwitch,
    accepting: JoinHandle<()>,
    background: Vec<AbortHandle>,
    connections: Arc<Semaphore>,
    most: u32,
    limits: Arc<LiveLimits>,
}

/// How draining went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still there at the deadline and were cut, upgraded ones included.
    pub cut: u32,
}

/// Opens the door. Runs on the current tokio runtime, of whatever kind; one thread is enough.
pub async fn start(config: GatewayConfig) -> Result<GatewayHandle, StartError> {
    viscount_chassis::telemetry::metrics::begin("gateway", crate::metrics::ALL, crate::metrics::CLOSED);
    let listener = listener::bind(config.listen)?;
    let addr = listener.local_addr().map_err(|error| StartError::Listen { addr: config.listen, error })?;
    let (phase, watch) = phase::open();
    let mut background = Vec::new();
    let verifier = match &config.auth {
        Auth::Shared(verifier) => verifier.clone(),
        Auth::Own(auth) => {
            let verifier = Verifier::new(auth.clone());
            background.push(tokio::spawn(keep_keys_fresh(verifier.clone())).abort_handle());
            verifier
        }
    };
    let door = Arc::new(Door::new(&config, verifier, watch.clone()));
    let swept = door.clone();
    background.push(tokio::spawn(janitor(move || swept.limiters(), SWEEP_EVERY)).abort_handle());
    background.push(tokio::spawn(probe(door.upstream(), config.calls.probe_every)).abort_handle());
    if let Some(discovery) = config.discovery {
        let found = discover(door.upstream(), config.upstreams.loose(), discovery);
        background.push(tokio::spawn(found).abort_handle());
    }
    let limits = Arc::new(LiveLimits(door.clone()));
    let most = config.clients.connections;
    let connections = Arc::new(Semaphore::new(most as usize));
    let accepting =
        tokio::spawn(listener::accept(listener, door, connections.clone(), config.clients.clone(), watch));
    tracing::info!(%addr, "gateway listens");
    Ok(GatewayHandle { addr, phase, accepting, background, connections, most, limits })
}

impl GatewayHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `limits`, for whoever follows the live settings.
    pub fn limits(&self) -> Arc<dyn Setting> {
        self.limits.clone()
    }

    /// Closes in good order: unready, no new connections, answers under way finish, and at the deadline the rest is
    /// cut.
    pub async fn drain(self, deadline: Duration) -> Drained {
        self.phase.set(Phase::Draining);
        let all_back = self.connections.acquire_many(self.most);
        let cut = match timeout(deadline, all_back).await {
            Ok(_) => 0,
            Err(_) => self
                .most
                .saturating_sub(u32::try_from(self.connections.available_permits()).unwrap_or(u32::MAX)),
        };
        self.phase.set(Phase::Closed);
        if cut > 0 {
            let _ = timeout(AFTER_CUT, self.connections.acquire_many(self.most)).await;
        }
        tracing::info!(cut, "gateway closed");
        Drained { cut }
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.phase.set(Phase::Closed);
        self.accepting.abort();
        for task in &self.background {
            task.abort();
        }
    }
}

async fn keep_keys_fresh(verifier: Verifier) {
    if let Err(error) = verifier.refresh_forever().await {
        tracing::error!(error, "token keys are no longer refreshed");
    }
}
