//! The server, and a database of our own on it.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use tokio::process::Command;

use super::programs::{Programs, run};

/// Our database. One of this name that a killed run has left behind is replaced.
const DATABASE: &str = "viscount_baseline";
/// The superuser of the platform's own server.
const SUPERUSER: &str = "postgres";
/// Where PostgreSQL listens when nothing else is said.
const PORT: u16 = 5432;
/// How long looking a name up may take.
const LOOKING_UP: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECTING_SECONDS: &str = "5";

/// A server. Its password goes to programs in their environment: a command line can be seen by everybody.
pub struct Server {
    /// `postgres://user@host:port`
    base: String,
    /// `host:port`
    address: String,
    /// The database to connect to when there is none of our own.
    first: String,
    /// Such as `?sslmode=require`.
    options: String,
    password: Option<String>,
}

impl Server {
    /// From `postgres://user:password@host:port/database`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong =
            || "the database URL is not of the form postgres://user:password@host:port/database".to_owned();
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(wrong());
        }
        let (rest, options) = rest
            .split_once('?')
            .map_or((rest, String::new()), |(rest, options)| (rest, format!("?{options}")));
        // They would lead somewhere else than the host says, which is what is looked at.
        let elsewhere = |option: &str| {
            matches!(option.split('=').next(), Some("host" | "hostaddr" | "port" | "service" | "servicefile"))
        };
        if options.trim_start_matches('?').split('&').any(elsewhere) {
            return Err("the database URL names its host in its options: write it before the path".to_owned());
        }
        let (authority, first) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) =
            user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
        if host.is_empty() || host.contains([',', '%']) {
            return Err(wrong());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:{PORT}") };
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        Ok(Self {
            base: format!("postgres://{at}{address}"),
            address,
            first: if first.is_empty() { SUPERUSER } else { first }.to_owned(),
            options,
            password: password.map(|password| decoded(password).ok_or_else(wrong)).transpose()?,
        })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Where that is.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        resolve(&self.address).await
    }

    /// The server that the platform keeps in its data directory.
    pub fn of(data_dir: &Path) -> Result<Self, String> {
        let folder = data_dir.join("postgres");
        let read = |name: &str| fs::read_to_string(folder.join(name)).map(|text| text.trim().to_owned());
        let (Ok(port), Ok(password)) = (read("port"), read("password")) else {
            return Err(format!(
                "{} has no PostgreSQL server of its own: give the platform's with --database-url, or its data directory with \
                 --data-dir",
                data_dir.display()
            ));
        };
        Ok(Self {
            base: format!("postgres://{SUPERUSER}@127.0.0.1:{port}"),
            address: format!("127.0.0.1:{port}"),
            first: SUPERUSER.to_owned(),
            options: String::new(),
            password: Some(password),
        })
    }

    /// One statement by psql; the answer's rows are lines.
    pub async fn ask(&self, programs: &Programs, statement: &str) -> Result<String, String> {
        self.psql(programs, &self.first, statement).await
    }

    async fn psql(&self, programs: &Programs, database: &str, script: &str) -> Result<String, String> {
        let mut psql = programs.psql();
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
            "--file=-",
        ]);
        run(self.connect(&mut psql, database), script, Duration::ZERO).await
    }

    fn connect<'a>(&self, command: &'a mut Command, database: &str) -> &'a mut Command {
        // Whatever the environment says of where to go, we go where we looked.
        for name in ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGSERVICEFILE"] {
            command.env_remove(name);
        }
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        command.env("PGCONNECT_TIMEOUT", CONNECTING_SECONDS).env("PGAPPNAME", "viscount-loadtest");
        command.arg(format!("{}/{database}{}", self.base, self.options))
    }
}

/// Our database while it is there.
pub struct Database<'a> {
    server: &'a Server,
    programs: &'a Programs,
}

impl<'a> Database<'a> {
    /// A new one with these tables.
    pub async fn make(server: &'a Server, programs: &'a Programs, schema: &str) -> Result<Self, String> {
        let database = Self { server, programs };
        database.drop_it().await?;
        server.ask(programs, &format!("create database {DATABASE}")).await?;
        match server.psql(programs, DATABASE, schema).await {
            Ok(_) => Ok(database),
            Err(why) => {
                // Why it could not be filled says more.
                let _ = database.drop_it().await;
                Err(why)
            }
        }
    }

    /// Whatever was written before is on the disk, so that it does not get there during a measurement. Who may not ask for
    /// that goes on without.
    pub async fn settle(&self) {
        let _ = self.server.ask(self.programs, "checkpoint").await;
    }

    /// Runs a script again and again.
    pub async fn pgbench(&self, script: &str, clients: u32, time: Duration) -> Result<String, String> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(clients as usize);
        let mut pgbench = self.programs.pgbench();
        pgbench
            .args(["--no-vacuum", "--protocol=prepared", "--file=-"])
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={threads}"))
            .arg(format!("--time={}", time.as_secs()));
        run(self.server.connect(&mut pgbench, DATABASE), script, time).await
    }

    /// Everything is as it was before.
    pub async fn remove(self) -> Result<(), String> {
        self.drop_it().await
    }

    async fn drop_it(&self) -> Result<(), String> {
        let statement =
            format!("set client_min_messages = warning; drop database if exists {DATABASE} with (force)");
        // Two statements in one would be one transaction, in which no database can be dropped.
        let statement = statement.replace("; ", ";\n");
        self.server.ask(self.programs, &statement).await.map(|_| ())
    }
}

/// Where `host:port` is; there is at least one such address.
pub async fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let unknown =
        |why: &dyn std::fmt::Display| format!("the PostgreSQL server {address} cannot be found: {why}");
    let looking = tokio::time::timeout(LOOKING_UP, tokio::net::lookup_host(address));
    let found = looking.await.map_err(|error| unknown(&error))?;
    let found: Vec<SocketAddr> = found.map_err(|error| unknown(&error))?.collect();
    if found.is_empty() { Err(unknown(&"it has no address")) } else { Ok(found) }
}

/// `%40` is `@`.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let server = Server::parse("postgres://ada:p%40ss%3A@db:5433/shop?sslmode=require").unwrap();
        assert_eq!((server.base.as_str(), server.first.as_str()), ("postgres://ada@db:5433", "shop"));
        assert_eq!(
            (server.password.as_deref(), server.options.as_str()),
            (Some("p@ss:"), "?sslmode=require")
        );
        let server = Server::parse("postgresql://localhost").unwrap();
        assert_eq!((server.base.as_str(), server.first.as_str()), ("postgres://localhost:5432", "postgres"));
        assert_eq!(Server::parse("postgres://[::1]/x").unwrap().address(), "[::1]:5432");
        for wrong in [
            "http://a",
            "localhost:5432",
            "postgres://",
            "postgres://u:%4@h/",
            "postgres://localhost,prod/x",
            "postgres://%2Frun%2Fpostgresql/x",
            "postgres://localhost/x?host=prod",
            "postgres://localhost/x?sslmode=require&hostaddr=192.0.2.1",
        ] {
            assert!(Server::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_password_is_on_a_command_line() {
        let server = Server::parse("postgres://ada:secret@db/shop").unwrap();
        let mut command = Command::new("psql");
        server.connect(&mut command, "x");
        let arguments: Vec<_> =
            command.as_std().get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        assert_eq!(arguments, ["postgres://ada@db:5432/x"]);
    }

    #[test]
    fn the_platforms_server_is_found_in_its_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Server::of(dir.path()).err().unwrap().contains("--database-url"));
        fs::create_dir(dir.path().join("postgres")).unwrap();
        fs::write(dir.path().join("postgres/port"), "15432\n").unwrap();
        fs::write(dir.path().join("postgres/password"), "secret\n").unwrap();
        let server = Server::of(dir.path()).unwrap();
        assert_eq!(
            (server.base.as_str(), server.password.as_deref()),
            ("postgres://postgres@127.0.0.1:15432", Some("secret"))
        );
    }
}
