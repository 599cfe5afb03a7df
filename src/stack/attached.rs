//! Looking into the databases from outside, whether the platform runs or not.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use viscount_chassis::config::Env;

use super::{Part, Server, Urls};
use crate::{failure::Failure, home::Home};

/// The databases of a platform that runs, or a server started for as long as somebody looks.
pub struct Attached {
    urls: Urls,
    server: Option<Server>,
}

impl Attached {
    /// Finds the databases; starts the private server when nobody else has.
    pub async fn open(env: &Env, home: &Home) -> Result<Self, Failure> {
        if env.get("DATABASE_URL").is_none()
            && let Ok(endpoints) = home.endpoints()
            && may_live(endpoints.pid)
        {
            let urls = running(home, &endpoints.database)?;
            let asked = PgConnection::connect(urls.get(Part::Orders).unwrap_or_default());
            if let Ok(Ok(connection)) = tokio::time::timeout(Duration::from_secs(2), asked).await {
                let _ = connection.close().await;
                return Ok(Self { urls, server: None });
            }
        }
        let server = Server::start(env, home).await?;
        let urls = server.provision(home, &Part::ALL).await?;
        Ok(Self { urls, server: Some(server) })
    }

    /// The database of this part.
    pub fn url(&self, part: Part) -> String {
        self.urls.of(part)
    }

    /// Stops what was started for looking.
    pub async fn close(self) -> Result<(), Failure> {
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

/// False when that process is surely gone. The server that it left behind stops by itself in a moment, so it is taken
/// over instead of being used for as long as it lasts.
fn may_live(pid: u32) -> bool {
    let processes = std::path::Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

/// The URLs on the server of a platform that runs (or ran) there.
fn running(home: &Home, address: &str) -> Result<Urls, Failure> {
    let mut urls = Urls::default();
    for part in Part::ALL {
        if let Some(database) = part.database() {
            let role = format!("viscount_{}", part.name());
            let password = home.secret(&role)?;
            urls.insert(part, format!("postgres://{role}:{password}@{address}/{database}"));
        }
    }
    Ok(urls)
}
