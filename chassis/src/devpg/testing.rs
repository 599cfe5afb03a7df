//! For tests of every crate: one throw-away server per test process, a database of its own for every test.
//!
//! ```no_run
//! # async fn run() {
//! let database = viscount_chassis::devpg::testing::test_database("orders", |url| async move {
//!     // Migrate: run once per test process; later databases are copies of the result.
//!     let pool = sqlx::PgPool::connect(&url).await?;
//!     sqlx::query("create table orders (id uuid primary key)").execute(&pool).await?;
//!     Ok::<_, sqlx::Error>(pool.close().await)
//! })
//! .await;
//! let pool = sqlx::PgPool::connect(&database.url).await;
//! # }
//! ```
//!
//! The server runs without fsync, which no test that spares the machine can notice; [`durable_server`] is one
//! with. It ends with the test process, however that ends, and its folder with it: a watcher waits for the
//! end of a pipe that only this process holds.
//!
//! Functions here panic: a test without its database has nothing else to say.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use super::owner::Lifetime;
use super::provision::{identifier, provision_unbounded};
use super::{DevPgError, DevPostgres, DevPostgresConfig};

/// Owns every test database: no superuser, like the roles of the services.
const ROLE: &str = "tester";
const PASSWORD: &str = "tester";

/// A throw-away server.
#[derive(Debug)]
pub struct TestServer {
    postgres: DevPostgres,
    templates: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    databases: AtomicU32,
}

/// A database of one test. It is not dropped: it goes with its server, and until then a failed test can be
/// looked into.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Connection URL of its owner, who is no superuser.
    pub url: String,
    /// Connection URL of the superuser for the same database, for tests that break things.
    pub admin_url: String,
}

/// The server of this test process; the first call starts it.
///
/// # Panics
/// When no server can be had.
pub async fn test_server() -> &'static TestServer {
    static SERVER: OnceCell<TestServer> = OnceCell::const_new();
    SERVER.get_or_init(async || or_panic("start a test server", TestServer::start(false).await)).await
}

/// A server of one's own whose commits survive whatever the test does to it.
///
/// # Panics
/// When no server can be had.
pub async fn durable_server() -> TestServer {
    or_panic("start a durable test server", TestServer::start(true).await)
}

/// A new database on [`test_server`], a copy of a template that `migrate` has made once.
///
/// # Panics
/// When no server can be had, or `migrate` fails.
pub async fn test_database<F, Fut, E>(template: &str, migrate: F) -> TestDatabase
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Display,
{
    test_server().await.database(template, migrate).await
}

impl TestServer {
    /// Starts one in a folder of its own.
    pub async fn start(fsync: bool) -> Result<Self, DevPgError> {
        let folder = std::env::temp_dir().join(format!("viscount-test-{}", uuid::Uuid::new_v4().simple()));
        let config = DevPostgresConfig { fsync, max_connections: 200, ..DevPostgresConfig::new(folder) };
        let postgres = DevPostgres::start_with(config, Lifetime::ThrowAway).await?;
        Ok(Self { postgres, templates: Mutex::default(), databases: AtomicU32::new(0) })
    }

    /// Connection URL of the superuser.
    pub fn admin_url(&self) -> String {
        self.postgres.admin_url()
    }

    /// The server itself.
    pub fn postgres(&self) -> &DevPostgres {
        &self.postgres
    }

    /// Stops it and removes its folder; left out, both happen when it is dropped or the process ends.
    pub async fn stop(self) -> Result<(), DevPgError> {
        self.postgres.stop().await
    }

    /// As [`test_database`], on this server.
    ///
    /// # Panics
    /// When `migrate` fails or the server does.
    pub async fn database<F, Fut, E>(&self, template: &str, migrate: F) -> TestDatabase
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Display,
    {
        let once = self.templates.lock().entry(template.to_owned()).or_default().clone();
        let source = once.get_or_init(async || self.make_template(template, migrate).await).await;
        let name = format!("test_{}_{}", short(template), self.databases.fetch_add(1, Ordering::Relaxed));
        or_panic("copy the template database", self.copy(source, &name).await);
        TestDatabase { url: self.url_of(&name), admin_url: self.postgres.url(&name) }
    }

    fn url_of(&self, database: &str) -> String {
        super::provision::url(self.postgres.port(), ROLE, PASSWORD, database)
    }

    async fn make_template<F, Fut, E>(&self, template: &str, migrate: F) -> String
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Display,
    {
        let name = format!("template_{}_{}", short(template), self.databases.fetch_add(1, Ordering::Relaxed));
        let url = or_panic(
            "make a template database",
            provision_unbounded(&self.admin_url(), &name, ROLE, PASSWORD).await,
        );
        or_panic("migrate the template database", migrate(url).await);
        or_panic("close the template database", self.close_to_clients(&name).await);
        name
    }

    /// A template can only be copied while nobody is connected to it.
    async fn close_to_clients(&self, name: &str) -> Result<(), sqlx::Error> {
        let mut admin = PgConnection::connect(&self.admin_url()).await?;
        admin
            .execute(AssertSqlSafe(format!(
                "alter database {} with allow_connections false",
                identifier(name)?
            )))
            .await?;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(name)
            .execute(&mut admin)
            .await?;
        admin.close().await
    }

    async fn copy(&self, source: &str, name: &str) -> Result<(), sqlx::Error> {
        let mut admin = PgConnection::connect(&self.admin_url()).await?;
        let (source, name) = (identifier(source)?, identifier(name)?);
        admin
            .execute(AssertSqlSafe(format!("create database {name} template {source} owner {ROLE}")))
            .await?;
        admin.close().await
    }
}

/// Names of databases are at most 63 bytes.
fn short(template: &str) -> String {
    template.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect()
}

fn or_panic<T, E: Display>(doing: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("cannot {doing}: {error}"),
    }
}
