//! The data directory: what the platform keeps between runs.
//!
//! ```text
//! .viscount/
//! ├── postgres/        the private cluster
//! ├── keys/            the keys that sign tokens
//! ├── secrets.json     passwords of the service roles, and the webhook secret
//! ├── catalogue        there once the first start has brought the demo catalogue in
//! ├── endpoints.json   where everything listens; written by each start
//! └── gateway-instances.json   which instances coordination listed last, for a gateway that starts without it
//! ```

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use viscount_chassis::config::Env;

use crate::failure::Failure;

/// The data directory.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

/// Where a running platform listens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Endpoints {
    /// The process.
    pub pid: u32,
    /// The gateway's URL, when it runs.
    pub gateway: Option<String>,
    /// Each service's URL.
    pub services: BTreeMap<String, String>,
    /// Host and port of the database server.
    pub database: String,
}

impl Home {
    /// `VISCOUNT_DATA_DIR`, default `.viscount`; made when missing.
    pub fn open(env: &Env) -> Result<Self, Failure> {
        let root = PathBuf::from(env.get("VISCOUNT_DATA_DIR").unwrap_or(".viscount"));
        fs::create_dir_all(&root).map_err(|error| {
            Failure::Usage(format!("VISCOUNT_DATA_DIR: {} cannot be made: {error}", root.display()))
        })?;
        let root = root.canonicalize().map_err(|error| Failure::doing(root.display(), error))?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the private cluster lives.
    pub fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// Where the gateway keeps which instances were listed last.
    pub fn instances(&self) -> PathBuf {
        self.root.join("gateway-instances.json")
    }

    /// Where the signing keys live.
    pub fn keys(&self, env: &Env) -> PathBuf {
        env.get("IDENTITY_KEYS_DIR").map_or_else(|| self.root.join("keys"), PathBuf::from)
    }

    /// A secret of this name, made on first use. Processes that share the folder agree on it.
    pub fn secret(&self, name: &str) -> Result<String, Failure> {
        let path = self.root.join("secrets.json");
        let turn = self.root.join("secrets.lock");
        let lock = fs::File::create(&turn).map_err(|error| Failure::doing(turn.display(), error))?;
        // Held for as long as it takes to read and write a small file.
        lock.lock().map_err(|error| Failure::doing(turn.display(), error))?;
        let mut secrets: BTreeMap<String, String> = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| Failure::doing(path.display(), error))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Failure::doing(path.display(), error)),
        };
        if let Some(secret) = secrets.get(name) {
            return Ok(secret.clone());
        }
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        secrets.insert(name.to_owned(), secret.clone());
        self.write_private(&path, &secrets)?;
        Ok(secret)
    }

    /// True when the first start has brought its catalogue in.
    pub fn has_catalogue(&self) -> bool {
        self.root.join("catalogue").exists()
    }

    /// Remembers that it has.
    pub fn note_catalogue(&self) -> Result<(), Failure> {
        let path = self.root.join("catalogue");
        fs::write(&path, "brought in\n").map_err(|error| Failure::doing(path.display(), error))
    }

    /// Says where everything listens.
    pub fn write_endpoints(&self, endpoints: &Endpoints) -> Result<(), Failure> {
        self.write_private(&self.root.join("endpoints.json"), endpoints)
    }

    /// Where everything listens, as the last start has written it.
    pub fn endpoints(&self) -> Result<Endpoints, Failure> {
        let path = self.root.join("endpoints.json");
        let bytes = fs::read(&path).map_err(|_| {
            Failure::Usage(format!(
                "no platform has run on {}: start `viscount up` first",
                self.root.display()
            ))
        })?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::doing(path.display(), error))
    }

    /// Written beside and renamed, so that a reader never sees half of it; for the owner's eyes alone.
    fn write_private(&self, path: &Path, value: &impl Serialize) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::doing(path.display(), error);
        let bytes = serde_json::to_vec_pretty(value).map_err(|error| failed(&error))?;
        // Not the process id: processes in containers that share the folder all have the same one.
        let beside = path.with_extension(format!("new-{}", Uuid::new_v4().simple()));
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
        written.and_then(|()| fs::rename(&beside, path)).map_err(|error| failed(&error))
    }
}
