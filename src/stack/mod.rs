//! Everything that runs, started in order and stopped in order.

mod attached;
mod coordinated;
mod databases;
mod events;
mod parts;

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix_rt::Arbiter;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use viscount_actors::{Intensity, Restart, Supervisor};
use viscount_chassis::{
    auth::{AuthConfig, JwksSource, Verifier},
    config::Env,
    coordination::{Coordination, Membership},
    log::EventLog,
    open_files::allow_as_many_open_files_as_possible,
    service::{Platform, Running},
    telemetry::metrics,
    thread_name::name_this_thread,
    thread_priority::put_this_thread_ahead,
};
use viscount_gateway::{Auth, Discovery, GatewayConfig, GatewayHandle, Upstreams, routes::Service};
use viscount_identity::FirstAdmin;

pub use attached::Attached;
pub use databases::Server;
#[cfg(feature = "kafka")]
pub use events::brokers;
pub use events::{are_shared, engine};
pub use parts::{Part, Urls};

use crate::{
    failure::Failure,
    home::{Endpoints, Home},
};

/// How long a clean stop may take altogether.
const DRAIN: Duration = Duration::from_secs(10);
/// How much of it services go on serving where gateways elsewhere have to find out first: longer than the two seconds
/// after which a gateway asks again who is ready.
const LEAVE: Duration = Duration::from_millis(2_500);
/// How long services may take to become ready.
const READY: Duration = Duration::from_secs(60);
/// Failures that wait to be read. The first one ends the process, so whatever does not fit is not missed.
const FAILURES: usize = 16;

/// Everything that runs in this process.
pub struct Stack {
    running: Vec<(Running, Arbiter)>,
    gateway: Option<(GatewayHandle, Arbiter)>,
    members: Vec<Membership>,
    server: Server,
    log: Arc<dyn EventLog>,
    tree: Supervisor,
    failures: mpsc::Receiver<(&'static str, String)>,
    /// Where everything listens.
    pub endpoints: Endpoints,
    /// The administrator that this start has made.
    pub first_admin: Option<FirstAdmin>,
}

impl Stack {
    /// Starts these parts and waits until they are ready.
    pub async fn start(env: &Env, home: &Home, parts: &[Part]) -> Result<Self, Failure> {
        let open_files = allow_as_many_open_files_as_possible();
        tracing::info!(open_files, "open files allowed");
        metrics::install();
        metrics::watch_disk("data", home.root().to_owned());
        let env = &with_defaults(env, home)?;
        parts::check_all(env, parts)?;
        let log = engine(env)?;
        let server = Server::start_for(parts, env, home).await?;
        let urls = server.provision(home, parts).await?;

        let (failed, failures) = mpsc::channel(FAILURES);
        let identity_port = parts::port_of_identity(env, parts)?;
        let jwks_url = env
            .get("VISCOUNT_JWKS_URL")
            .map_or_else(|| format!("http://127.0.0.1:{identity_port}/.well-known/jwks.json"), str::to_owned);
        let verifier = Verifier::new(AuthConfig {
            issuer: env.get("VISCOUNT_ISSUER").unwrap_or("first-viscount").to_owned(),
            audience: env.get("VISCOUNT_AUDIENCE").unwrap_or("first-viscount").to_owned(),
            jwks: JwksSource::Url(jwks_url.clone()),
        });
        let on_failure = failed.clone();
        let platform = Platform {
            log: log.clone(),
            verifier: verifier.clone(),
            host: env.get("VISCOUNT_HOST").unwrap_or("127.0.0.1").to_owned(),
            // The second is the name that it had before.
            fault_injection: env
                .bool_or("VISCOUNT_FAULTS", env.bool_or("VISCOUNT_FAULT_INJECTION", false)?)?,
            on_failure: Arc::new(move |service, exit| drop(on_failure.try_send((service, exit)))),
        };
        let tree = Supervisor::root("platform", Intensity::default(), move |exit| {
            drop(failed.try_send(("platform", exit.to_string())));
        });
        let keys = verifier.clone();
        tree.task("token-keys", Restart::Permanent, move || keys.clone().refresh_forever());

        let (announce, mut admins) = mpsc::channel(1);
        let mut stack = Self {
            running: Vec::new(),
            gateway: None,
            members: Vec::new(),
            endpoints: Endpoints {
                pid: std::process::id(),
                database: server.address(),
                ..Endpoints::default()
            },
            server,
            log,
            tree,
            failures,
            first_admin: None,
        };
        let mut env = env.clone().with("IDENTITY_PORT", identity_port.to_string());
        let mut upstreams = Upstreams::from_env(&env)?;
        for part in Part::STARTING_ORDER.into_iter().filter(|part| parts.contains(part)) {
            let Some(start) = part.start(&env, &urls, announce.clone())? else { continue };
            let platform = platform.clone();
            let (running, arbiter) = on_own_thread(part.name(), move || start(platform)).await?;
            let running = running?;
            let addr = running.addr();
            if part == Part::Simulator && env.get("PAYMENTS_PROVIDER_URL").is_none() {
                env = env.with("PAYMENTS_PROVIDER_URL", format!("http://{addr}"));
            }
            if part == Part::Coordination && env.get("VISCOUNT_COORDINATION_URL").is_none() {
                env = env.with("VISCOUNT_COORDINATION_URL", coordinated::url_here(addr));
            }
            if let Some(service) = part.behind_gateway() {
                upstreams = upstreams.with_addr(service, addr);
                // Where all are here, they are known. Where some run elsewhere, there may be more of this one too.
                if !Part::STARTING_ORDER.iter().all(|part| parts.contains(part)) {
                    upstreams = upstreams.loosely(service);
                }
            }
            stack.endpoints.services.insert(part.name().to_owned(), format!("http://{addr}"));
            stack.running.push((running, arbiter));
        }
        let coordination = coordinated::coordination(&env, &jwks_url)?;
        stack.until_ready().await?;
        // Nobody is sent to a service before it is ready; and identity, where it is one of them, vouches only then.
        if let Some(coordination) = &coordination {
            stack.join_services(coordination);
        }
        if parts.contains(&Part::Gateway) {
            stack.open_gateway(&env, home, upstreams, verifier, coordination).await?;
        }
        stack.first_admin = admins.try_recv().ok();
        home.write_endpoints(&stack.endpoints)?;
        Ok(stack)
    }

    async fn open_gateway(
        &mut self,
        env: &Env,
        home: &Home,
        upstreams: Upstreams,
        verifier: Verifier,
        coordination: Option<Coordination>,
    ) -> Result<(), Failure> {
        let mut config = GatewayConfig::from_env(env)?;
        config.upstreams = upstreams;
        config.discovery = coordination.as_ref().map(|coordination| Discovery {
            client: coordination.client(),
            remembered: Some(home.instances()),
        });
        config.auth = Auth::Shared(verifier);
        let start = move || {
            if !put_this_thread_ahead() {
                tracing::debug!("the gateway's thread is not put ahead of the others: not allowed");
            }
            viscount_gateway::start(config)
        };
        let (gateway, arbiter) = on_own_thread("gateway", start).await?;
        let gateway = gateway.map_err(|error| Failure::Usage(error.to_string()))?;
        self.endpoints.gateway = Some(format!("http://{}", gateway.addr()));
        if let Some(coordination) = &coordination {
            self.join_gateway(coordination, &gateway);
        }
        self.gateway = Some((gateway, arbiter));
        Ok(())
    }

    async fn until_ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        for (running, _) in &self.running {
            while !running.health.is_set_ready() {
                if let Ok((service, exit)) = self.failures.try_recv() {
                    return Err(Failure::GaveUp { service, exit });
                }
                if started.elapsed() > READY {
                    return Err(Failure::Other(format!("{} did not become ready in time", running.name)));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// The gateway's URL.
    pub fn url(&self) -> &str {
        self.endpoints.gateway.as_deref().unwrap_or_default()
    }

    /// Waits until a service gives up, or the user wants to stop.
    pub async fn until_stopped(&mut self) -> Result<(), Failure> {
        tokio::select! {
            failure = self.failures.recv() => match failure {
                Some((service, exit)) => Err(Failure::GaveUp { service, exit }),
                None => Ok(()),
            },
            () = asked_to_stop() => Ok(()),
        }
    }

    /// Stops in order: the door first, then all services side by side, then the database. Within ten
    /// seconds; a second signal stops at once.
    pub async fn drain(self) -> Result<(), Failure> {
        actix_rt::spawn(async {
            asked_to_stop().await;
            eprintln!("viscount: stopped at once");
            std::process::exit(130);
        });
        let Self { running, gateway, members, server, log, tree, .. } = self;
        let mut left = DRAIN;
        if gateway.is_none() && !running.is_empty() {
            for (running, _) in &running {
                running.leave();
            }
            tokio::join!(coordinated::leave(&members), tokio::time::sleep(LEAVE));
            left -= LEAVE;
        } else {
            let asked = Instant::now();
            coordinated::leave(&members).await;
            left -= asked.elapsed().min(left / 4);
        }
        // While the gateway still passes on what they say.
        for (running, _) in &running {
            running.http.close_streams();
        }
        if let Some((gateway, arbiter)) = gateway {
            gateway.drain(left / 5).await;
            arbiter.stop();
        }
        let each =
            futures_util::future::join_all(running.into_iter().rev().map(|(running, arbiter)| async move {
                running.drain(left / 2).await;
                arbiter.stop();
            }));
        each.await;
        log.close(left / 4).await;
        let _ = tree.stop(Duration::from_secs(1)).await;
        server.stop().await
    }
}

/// Starts something on a thread of its own, where its actors and tasks then live.
async fn on_own_thread<F, Fut, T>(name: &'static str, start: F) -> Result<(T, Arbiter), Failure>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let arbiter = Arbiter::new();
    let (started, outcome) = oneshot::channel();
    arbiter.spawn_fn(move || {
        name_this_thread(name);
        actix_rt::spawn(async move {
            let _ = started.send(start().await);
        });
    });
    match outcome.await {
        Ok(outcome) => Ok((outcome, arbiter)),
        Err(_) => Err(Failure::Other(format!("the thread of {name} ended while it was starting"))),
    }
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// What `up` sets unless the environment does: folders, secrets, free ports when the gateway's is free to choose.
fn with_defaults(env: &Env, home: &Home) -> Result<Env, Failure> {
    let mut env = env.clone();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let keys = text(home.keys(&env));
    let root = text(home.root().to_path_buf());
    env = env.with("IDENTITY_KEYS_DIR", keys).with("VISCOUNT_DATA_DIR", root);
    if env.get("PAYMENTS_WEBHOOK_SECRET").is_none() {
        let secret = home.secret("payments_webhook")?;
        env = env.with("PAYMENTS_WEBHOOK_SECRET", secret);
    }
    if env.get("VISCOUNT_PORT") == Some("0") {
        for part in Part::ALL {
            if let Some(variable) = part.port_variable()
                && env.get(variable).is_none()
            {
                env = env.with(variable, "0");
            }
        }
    }
    Ok(env)
}

impl Part {
    /// The gateway's name for this part, when requests go there.
    fn behind_gateway(self) -> Option<Service> {
        match self {
            Part::Catalog => Some(Service::Catalog),
            Part::Inventory => Some(Service::Inventory),
            Part::Orders => Some(Service::Orders),
            Part::Payments => Some(Service::Payments),
            Part::Identity => Some(Service::Identity),
            Part::Coordination => Some(Service::Coordination),
            Part::Simulator | Part::Gateway => None,
        }
    }
}
