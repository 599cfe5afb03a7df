//! A private PostgreSQL for development and tests: no installation by hand, no container, no root.
//!
//! `viscount up` without `DATABASE_URL` keeps one small cluster under its data folder; tests start a
//! throw-away one. Everything a cluster needs lives in one folder:
//!
//! ```text
//! owner.lock    held (flock) by the one process that owns the cluster; names it
//! pgdata/       the cluster itself
//! password      of the superuser, generated, mode 0600
//! port          where it listens (loopback only; no unix socket, so no path is ever too long)
//! running       which settings the running server was started with
//! postgres.log  what the server says; copied to postgres.log.1 and cut when it grows
//! ```
//!
//! **Who may own it.** One process at a time: the lock is a kernel lock, so it is gone with its process,
//! however that ended, and there is no stale lock file to remove. A second owner is refused with the first
//! one's process id.
//!
//! **What happens on `kill -9`.** The server is a process of its own and outlives its owner for
//! [`GRACE_SECONDS`]. An owner that comes back in that time takes the running server over (no recovery, warm
//! caches) after checking that it really is the server of this folder, started with the same settings;
//! otherwise it is stopped and started again. When nobody comes back, a watcher (a shell that waits for the
//! end of a pipe whose other end only the owner holds) stops the server cleanly, so nothing is left running
//! for ever. The other way round, a server that dies under a living owner is started again on the same port
//! by the keeper thread.
//!
//! **Root.** PostgreSQL refuses to run as root; it then runs in a user namespace, or as an unprivileged user.
//!
//! Everything inside is blocking code on a blocking thread: it works under every runtime, also under paused
//! time.

mod account;
mod binaries;
mod cluster;
mod error;
mod keeper;
mod owner;
mod postmaster;
mod provision;
mod server;
mod settings;
pub mod testing;

use std::path::{Path, PathBuf};

pub use error::DevPgError;
pub use owner::GRACE_SECONDS;
pub use provision::provision;

use cluster::Password;
use keeper::Keeper;
use owner::Lifetime;
use server::Server;

/// Between two looks at something that is about to happen in another process. Only ever on a thread that may
/// block.
#[expect(clippy::disallowed_methods, reason = "all of this module runs on blocking threads")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(5));
}

/// How to run the private server.
#[derive(Debug, Clone)]
pub struct DevPostgresConfig {
    /// Folder of the cluster; made when missing. Nothing else may live in it.
    pub data_dir: PathBuf,
    /// Whether commits survive a power cut. Only throw-away data may go without.
    pub fsync: bool,
    /// Connections the server accepts.
    pub max_connections: u32,
    /// Port on loopback; `None` takes the one of the last run when it is free, else any free one.
    pub port: Option<u16>,
}

impl DevPostgresConfig {
    /// Durable, 100 connections, any port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), fsync: true, max_connections: 100, port: None }
    }
}

/// A running private server. Dropping it stops the server too, but does not wait for that; prefer
/// [`DevPostgres::stop`].
#[derive(Debug)]
pub struct DevPostgres {
    keeper: Keeper,
    data_dir: PathBuf,
    port: u16,
    password: Password,
    version: String,
    taken_over: bool,
}

impl DevPostgres {
    /// Starts the server of that folder, or takes it over when it is still running, and waits until it
    /// accepts connections.
    pub async fn start(config: DevPostgresConfig) -> Result<Self, DevPgError> {
        Self::start_with(config, Lifetime::Handover).await
    }

    /// The same, for an owner that ends when the server does: nobody starts it again, and when its owner is killed it
    /// stops at once. The data stays.
    pub async fn start_bound(config: DevPostgresConfig) -> Result<Self, DevPgError> {
        Self::start_with(config, Lifetime::Bound).await
    }

    async fn start_with(config: DevPostgresConfig, lifetime: Lifetime) -> Result<Self, DevPgError> {
        tokio::task::spawn_blocking(move || Self::start_blocking(config, lifetime))
            .await
            .unwrap_or_else(|error| Err(DevPgError::Start(error.to_string())))
    }

    fn start_blocking(config: DevPostgresConfig, lifetime: Lifetime) -> Result<Self, DevPgError> {
        let server = Server::start(config, lifetime)?;
        Ok(Self {
            data_dir: server.data_dir().to_owned(),
            port: server.port(),
            password: server.password().clone(),
            version: server.version().to_string(),
            taken_over: server.taken_over(),
            keeper: Keeper::watch(server)?,
        })
    }

    /// Connection URL of the superuser for one database.
    pub fn url(&self, database: &str) -> String {
        provision::url(self.port, settings::SUPERUSER, self.password.reveal(), database)
    }

    /// Connection URL for making databases and roles ([`provision`]).
    pub fn admin_url(&self) -> String {
        self.url(settings::ADMIN_DATABASE)
    }

    /// Port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Folder of the cluster, absolute.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Version of the server's binaries, such as `18.4`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether a server that an earlier owner had left running was taken over.
    pub fn taken_over(&self) -> bool {
        self.taken_over
    }

    /// Process id of the server at this moment; `None` while it is being started again.
    pub fn pid(&self) -> Option<u32> {
        self.keeper.pid()
    }

    /// Stops the server and waits until it is gone: disconnects its clients, writes a checkpoint.
    pub async fn stop(self) -> Result<(), DevPgError> {
        tokio::task::spawn_blocking(move || self.keeper.stop())
            .await
            .unwrap_or_else(|error| Err(DevPgError::Stop(error.to_string())))
    }
}
