//! The keys that sign access tokens: a ring of Ed25519 keys in a directory.
//!
//! Two keys are public at any time: the one that signs, and the one that will sign next, so that everybody knows it
//! before the first token of its making arrives. A key that is withdrawn loses its private half at once; its public
//! half stays in the JWKS until the last token it signed has expired.
//!
//! The directory belongs to one machine's identity, or to all replicas that share it: changes are made under a file
//! lock and become visible with one rename, and [`KeyRing::refresh`] takes up what another process has changed.
//! A process that only signs (`viscount token`) opens the same directory and needs no service.
//!
//! Why Ed25519 rather than ES256: with this crypto library its check costs about half, and verifying is what happens
//! in every process (`cargo run -p viscount-identity --example signature_cost` measures both).

mod error;
pub(crate) mod files;
mod key;
mod manifest;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::JwkSet;
use parking_lot::RwLock;
use viscount_chassis::auth::Claims;

pub use error::KeyError;
pub use manifest::{Kid, Withdrawn};

use self::{files::Directory, key::SigningKey, manifest::Manifest};

/// Tokens that live at most this long may be signed without a note in the ring: each withdrawn key stays public at
/// least as long.
pub const ORDINARY_LIFE: Duration = Duration::from_secs(3600);

/// How long another replica may go on signing with a key before it notices that it was withdrawn.
const NOTICE: Duration = Duration::from_secs(60);

/// Why keys are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// In turn: tokens signed so far stay good until they expire.
    InTurn,
    /// The keys may be in wrong hands: all of them go, and with them every token they signed.
    Compromised,
}

/// The names of the keys in the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The key that signs.
    pub current: Kid,
    /// Since when it signs.
    pub since: Timestamp,
    /// The key that will sign next.
    pub next: Kid,
    /// Keys that sign no more, and until when their tokens are believed.
    pub withdrawn: Vec<(Kid, Timestamp)>,
}

/// The keys, ready to sign. Cheap to clone; clones see each other's changes.
#[derive(Clone)]
pub struct KeyRing {
    directory: Arc<Directory>,
    loaded: Arc<RwLock<Arc<Loaded>>>,
}

/// What is in memory of one state of the ring.
struct Loaded {
    manifest: Manifest,
    current: SigningKey,
    jwks: JwkSet,
    json: Bytes,
}

impl KeyRing {
    /// Opens the ring in this directory, or makes a new one when there is none.
    ///
    /// Works on files and may wait a moment for another process that does the same: not for an async context that
    /// serves others.
    pub fn open_or_create(directory: impl AsRef<Path>) -> Result<Self, KeyError> {
        let directory = Directory::open(directory.as_ref())?;
        let lock = directory.lock()?;
        let manifest = match directory.manifest()? {
            Some(manifest) => manifest,
            None => {
                let (current, next) = (SigningKey::generate()?, SigningKey::generate()?);
                directory.write_key(&current)?;
                directory.write_key(&next)?;
                let manifest = Manifest::new(current.kid().clone(), next.kid().clone(), Timestamp::now());
                directory.write_manifest(&manifest)?;
                manifest
            }
        };
        directory.sweep(&manifest)?;
        let loaded = Loaded::read(&directory, manifest)?;
        drop(lock);
        Ok(Self { directory: Arc::new(directory), loaded: Arc::new(RwLock::new(Arc::new(loaded))) })
    }

    /// Signs a token with the current key.
    ///
    /// A token that lives longer than [`ORDINARY_LIFE`] is noted in the ring first, so that its key stays public for
    /// as long; that works on files, the ordinary case does not.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let now = Timestamp::now();
        let expires = Timestamp::from_second(claims.exp).map_err(|_| KeyError::Expiry)?;
        if expires > later(now, ORDINARY_LIFE) {
            self.change(|manifest, _| Ok(manifest.outlive(expires)))?;
        }
        self.now_loaded().current.sign(claims)
    }

    /// The public keys: that which signs, that which will sign next, and those whose tokens are not all expired.
    pub fn jwks(&self) -> JwkSet {
        self.now_loaded().jwks.clone()
    }

    /// The same as JSON, ready to be sent.
    pub fn jwks_json(&self) -> Bytes {
        self.now_loaded().json.clone()
    }

    /// The names of the keys.
    pub fn overview(&self) -> Overview {
        self.now_loaded().manifest.overview()
    }

    /// Where the keys are.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Withdraws the current key; the next one signs from now on. Works on files.
    pub fn rotate(&self, why: Rotation) -> Result<Overview, KeyError> {
        self.change(|manifest, directory| rotated(manifest, directory, why))?;
        Ok(self.overview())
    }

    /// Rotates when the current key has signed for `age` or longer. True when it did. Works on files.
    pub fn rotate_when_older_than(&self, age: Duration) -> Result<bool, KeyError> {
        // Looked at again under the lock: of two replicas one rotates.
        let due = |manifest: &Manifest| later(manifest.since(), age) <= Timestamp::now();
        if !due(&self.now_loaded().manifest) {
            return Ok(false);
        }
        let mut did = false;
        self.change(|manifest, directory| {
            if !due(manifest) {
                return Ok(None);
            }
            did = true;
            rotated(manifest, directory, Rotation::InTurn)
        })?;
        Ok(did)
    }

    /// Takes up what other processes have changed, and drops withdrawn keys whose time is over. True when the public
    /// keys are not the same as before. Works on files.
    pub fn refresh(&self) -> Result<bool, KeyError> {
        let before = self.now_loaded();
        let on_disk = self.directory.manifest()?.ok_or_else(|| self.directory.lost())?;
        let over = on_disk.without_expired(Timestamp::now()).is_some();
        if over || on_disk != before.manifest {
            self.change(|manifest, _| Ok(manifest.without_expired(Timestamp::now())))?;
        }
        Ok(self.now_loaded().jwks != before.jwks)
    }

    fn now_loaded(&self) -> Arc<Loaded> {
        self.loaded.read().clone()
    }

    /// Changes the ring under the lock, starting from what is on disk; `None` leaves it as it is.
    fn change(
        &self,
        step: impl FnOnce(&Manifest, &Directory) -> Result<Option<Manifest>, KeyError>,
    ) -> Result<(), KeyError> {
        let _lock = self.directory.lock()?;
        let on_disk = self.directory.manifest()?.ok_or_else(|| self.directory.lost())?;
        let manifest = match step(&on_disk, &self.directory)? {
            Some(changed) => {
                self.directory.write_manifest(&changed)?;
                self.directory.sweep(&changed)?;
                changed
            }
            None => on_disk,
        };
        let loaded = Loaded::read(&self.directory, manifest)?;
        *self.loaded.write() = Arc::new(loaded);
        Ok(())
    }
}

fn rotated(manifest: &Manifest, directory: &Directory, why: Rotation) -> Result<Option<Manifest>, KeyError> {
    let now = Timestamp::now();
    let fresh = SigningKey::generate()?;
    directory.write_key(&fresh)?;
    Ok(Some(match why {
        Rotation::InTurn => {
            let old = directory.read_key(manifest.current())?;
            let at_least = later(now, ORDINARY_LIFE + NOTICE);
            manifest.rotated(old.public().clone(), fresh.kid().clone(), now, at_least)
        }
        Rotation::Compromised => {
            let next = SigningKey::generate()?;
            directory.write_key(&next)?;
            Manifest::new(fresh.kid().clone(), next.kid().clone(), now)
        }
    }))
}

impl Loaded {
    fn read(directory: &Directory, manifest: Manifest) -> Result<Self, KeyError> {
        let current = directory.read_key(manifest.current())?;
        let next = directory.read_key(manifest.next())?;
        let mut keys = vec![current.public().clone(), next.public().clone()];
        keys.extend(manifest.withdrawn().iter().map(|withdrawn| withdrawn.key.clone()));
        let jwks = JwkSet { keys };
        let json = serde_json::to_vec(&jwks).map_err(|_| KeyError::Crypto)?.into();
        Ok(Self { manifest, current, jwks, json })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("directory", &self.directory.path()).finish_non_exhaustive()
    }
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| from.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
