//! Binding, serving and stopping one service's port.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use sqlx::PgPool;
use tokio::net::TcpSocket;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};
use utoipa::OpenApi as _;
use viscount_actors::Supervisor;

use super::connections::Connections;
use super::dead_letters;
use super::explain;
use super::extract::{Limits, actix_configs};
use super::faults;
use super::health::Health;
use super::layer::{Layer, Leaving};
use super::ops::{self, Ops};
use super::routes::Routes;
use super::supervision::{self, Tree};
use super::takeover::{Closing, upgrades};
use super::websocket;
use crate::auth::Verifier;
use crate::telemetry;
use crate::thread_name::name_this_thread;

/// How long an idle connection is kept. Longer than the gateway keeps its own, so that the gateway closes first and
/// never sends into a connection that we are just closing.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long a client may take to go away after we closed.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// How much of a stop streams may take to say goodbye.
const GOODBYE: u32 = 3;
/// Connections the kernel may hold for us while we are busy.
const BACKLOG: u32 = 1024;
/// Blocking threads per worker, started only when needed; nothing of ours blocks.
const BLOCKING_THREADS: usize = 4;

/// What a service's port needs.
#[derive(Clone)]
pub struct HttpSpec {
    /// The service's name, also its metrics label.
    pub service: &'static str,
    /// The address to bind.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The environment variable that sets the port, for the message when it is taken.
    pub port_variable: &'static str,
    /// Threads that serve; at least one.
    pub workers: usize,
    /// Checks access tokens.
    pub verifier: Verifier,
    /// What `/readyz` tells.
    pub health: Health,
    /// What `/openapi.json` tells; also the source of `Allow` for a wrong method.
    pub openapi: utoipa::openapi::OpenApi,
    /// The root of the service's actors, shown at `/v1/ops/actors`.
    pub supervisor: Supervisor,
    /// The database with the dead letters that `/v1/ops/dead-letters` shows; without one there is no such path.
    pub dead_letters: Option<PgPool>,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// How long a handler may take before its caller is told 503. A body must be there in half of that.
    pub deadline: Duration,
}

impl HttpSpec {
    /// The largest request body unless a service says otherwise.
    pub const BODY_LIMIT: usize = 256 * 1024;
    /// The deadline unless a service says otherwise.
    pub const DEADLINE: Duration = Duration::from_secs(10);
}

/// A port could not be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("port {port} on {host} is taken; set {variable} to another port, or to 0 for any free one")]
    PortTaken {
        /// The address.
        host: String,
        /// The port.
        port: u16,
        /// The variable that changes it.
        variable: &'static str,
    },
    /// The address cannot be bound for another reason.
    #[error("cannot listen on {host}:{port} (set by {variable}): {source}")]
    Bind {
        /// The address.
        host: String,
        /// The port.
        port: u16,
        /// The variable that changes it.
        variable: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// A port being served.
#[derive(Clone)]
pub struct HttpHandle {
    service: &'static str,
    addr: SocketAddr,
    server: ServerHandle,
    connections: Connections,
    leaving: Leaving,
    closing: watch::Sender<bool>,
    cut_off: Arc<Notify>,
    ended: watch::Receiver<bool>,
}

impl HttpHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends every connection with its next answer, and goes on serving: whoever keeps connections for their next request
    /// comes back over a new one, or goes elsewhere. Begun a while before [`HttpHandle::stop`], nothing that is sent
    /// meets a connection that is just being closed.
    pub fn leave(&self) {
        self.leaving.begin();
    }

    /// Asks open streams to say goodbye and to close, and those to come as well. Everything else goes on.
    pub fn close_streams(&self) {
        self.closing.send_replace(true);
    }

    /// Has streams close, stops accepting, closes idle connections, lets requests under way finish, and after the
    /// deadline cuts off what is left. Being unready first is the caller's business.
    pub async fn stop(&self, deadline: Duration) {
        self.close_streams();
        // actix does not know of them, and would end the threads that they live on.
        if !self.connections.streams_closed_within(deadline / GOODBYE).await {
            warn!(service = self.service, "streams cut off at the deadline");
        }
        // actix would go on waiting whatever its caller does, and looks only once a second: we count for ourselves,
        // and end it by dropping the server.
        let draining = self.server.stop(true);
        let closed = self.connections.closed_within(deadline);
        tokio::select! {
            () = draining => {}
            closed = closed => if !closed {
                warn!(service = self.service, "http connections cut off at the deadline");
            },
        }
        self.cut_off.notify_one();
        // Fails when the server's task is gone, and then it has ended too.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl fmt::Debug for HttpHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHandle").field("service", &self.service).field("addr", &self.addr).finish()
    }
}

/// Binds the port and serves it. Call it on an actix arbiter. `configure` registers the service's own routes; the
/// operations' routes (`/livez`, `/readyz`, `/metrics`, `/openapi.json`, `/v1/ops/actors`, `/v1/ops/explain`,
/// `/v1/ops/faults`, `/v1/ops/metrics`, `/v1/ops/dead-letters`) are there already.
pub fn serve(
    mut spec: HttpSpec,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> Result<HttpHandle, StartError> {
    telemetry::metrics::install();
    let letters = spec.dead_letters.take();
    if letters.is_some() {
        spec.openapi.merge(dead_letters::Document::openapi());
    }
    spec.openapi.merge(explain::Document::openapi());
    spec.openapi.merge(supervision::Document::openapi());
    let has_faults = spec.supervisor.faults().are_allowed();
    if has_faults {
        spec.openapi.merge(faults::Document::openapi());
    }
    let limits = Limits { body: spec.body_limit, body_deadline: spec.deadline / 2 };
    let routes = Routes::from_openapi(&spec.openapi);
    let ops = Ops::new(&spec);
    let tree = Tree { service: spec.service, supervisor: spec.supervisor.clone(), letters: letters.clone() };
    let leaving = Leaving::default();
    let layer = Layer::new(spec.service, spec.deadline, routes.clone(), leaving.clone());
    let (verifier, service) = (spec.verifier.clone(), spec.service);
    let connections = Connections::new(spec.service);
    let (closing, closes) = watch::channel(false);
    let bind_error = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => {
            StartError::PortTaken { host: spec.host.clone(), port: spec.port, variable: spec.port_variable }
        }
        _ => StartError::Bind {
            host: spec.host.clone(),
            port: spec.port,
            variable: spec.port_variable,
            source,
        },
    };
    let app = move || {
        name_this_thread(&format!("{service}-http"));
        let layer = layer.clone();
        App::new()
            .app_data(limits)
            .app_data(verifier.clone())
            .app_data(routes.clone())
            .app_data(Closing::new(closes.clone()))
            .app_data(websocket::Figures::of(service))
            .configure(|app| actix_configs(app, limits))
            .configure(|app| ops::configure(app, ops.clone()))
            .configure(explain::configure)
            .configure(|app| supervision::configure(app, tree.clone()))
            .configure(|app| {
                if has_faults {
                    faults::configure(app, service, &tree.supervisor);
                }
            })
            .configure(|app| {
                if let Some(pool) = &letters {
                    dead_letters::configure(app, pool.clone());
                }
            })
            .configure(|app| configure(app))
            .default_service(web::to(super::routes::unknown))
            .wrap(from_fn(move |request, next| layer.clone().handle(request, next)))
    };
    let listener = listen(&spec.host, spec.port).map_err(bind_error)?;
    let addr = listener.local_addr().map_err(bind_error)?;
    let server = Server::build()
        .workers(spec.workers.max(1))
        .worker_max_blocking_threads(BLOCKING_THREADS)
        // The handle's own deadline decides; this one only must not come before it.
        .shutdown_timeout(3600)
        .disable_signals();
    let (stopping, open) = (server.graceful_shutdown_signal(), connections.clone());
    // As actix-web's own server does it, and with a way out for websockets.
    let server = server
        .listen(spec.service, listener, move || {
            let (stopping, on_connect) = (stopping.clone(), open.clone().on_connect());
            let app = || {
                let app = app().into_factory().map_err(|failure: actix_web::Error| failure.error_response());
                // Every request names its host; this is for those that do not.
                map_config(app, |()| AppConfig::default())
            };
            HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                // A later piece must not wait until the client has acknowledged the one before: 40 ms.
                .tcp_nodelay(true)
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD_DEADLINE)
                .client_disconnect_timeout(DISCONNECT_DEADLINE)
                .local_addr(addr)
                .on_connect_ext(move |io: &actix_rt::net::TcpStream, data: &mut _| on_connect(io, data))
                .upgrade(upgrades(app(), open.clone()))
                .finish(app())
                .tcp()
        })
        .map_err(bind_error)?;
    let service = spec.service;
    let running = server.run();
    let (server, cut_off, (ending, ended)) =
        (running.handle(), Arc::new(Notify::new()), watch::channel(false));
    let handle = HttpHandle {
        service,
        addr,
        server,
        connections,
        leaving,
        closing,
        cut_off: Arc::clone(&cut_off),
        ended,
    };
    actix_rt::spawn(async move {
        tokio::select! {
            result = running => if let Err(problem) = result {
                error!(service, error = %problem, "http server ended");
            },
            () = cut_off.notified() => {}
        }
        ending.send_replace(true);
    });
    info!(service, address = %addr, "http listening");
    Ok(handle)
}

/// The first of the host's addresses that can be bound.
fn listen(host: &str, port: u16) -> io::Result<std::net::TcpListener> {
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host name has no address");
    for addr in (host, port).to_socket_addrs()? {
        let bound = || {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restart must not wait for the connections of the last run to be forgotten.
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)?.into_std()
        };
        match bound() {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
