//! The directory: `ring.json` says which keys are in use, `<kid>.pem` holds each private key, readable by the owner
//! alone. Files are written under another name and renamed, so that a reader sees the old or the new, never a half.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{KeyError, Kid, key::SigningKey, manifest::Manifest};

const MANIFEST: &str = "ring.json";
const LOCK: &str = "ring.lock";

pub(super) struct Directory {
    path: PathBuf,
}

/// Held while the ring is changed; given back when dropped, also by a process that dies.
pub(crate) struct Lock {
    _file: File,
}

impl Directory {
    /// The directory, made when it is not there yet.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(KeyError::io(path))?;
        Ok(Self { path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until no other process changes the ring.
    pub fn lock(&self) -> Result<Lock, KeyError> {
        let path = self.path.join(LOCK);
        lock(&path).map_err(KeyError::io(&path))
    }

    /// The ring's file; `None` when there is none.
    pub fn manifest(&self) -> Result<Option<Manifest>, KeyError> {
        let path = self.path.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KeyError::io(path)(error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| KeyError::Corrupt { path, problem: format!("not a key ring ({error})") })
    }

    /// Somebody removed the ring's file while we were using it.
    pub fn lost(&self) -> KeyError {
        KeyError::Corrupt { path: self.path.join(MANIFEST), problem: "the file is gone".into() }
    }

    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), KeyError> {
        let text = serde_json::to_vec_pretty(manifest).map_err(|_| KeyError::Crypto)?;
        self.write(&self.path.join(MANIFEST), &text)
    }

    pub fn read_key(&self, kid: &Kid) -> Result<SigningKey, KeyError> {
        let path = self.key_path(kid);
        let pem = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => KeyError::Corrupt {
                path: path.clone(),
                problem: "this key is in use, but the file is gone".into(),
            },
            _ => KeyError::io(&path)(error),
        })?;
        let corrupt = |problem: &str| KeyError::Corrupt { path: path.clone(), problem: problem.into() };
        let key =
            SigningKey::from_pem(&pem).ok_or_else(|| corrupt("not an Ed25519 private key in PKCS#8 PEM"))?;
        if key.kid() == kid { Ok(key) } else { Err(corrupt("holds another key than its name says")) }
    }

    pub fn write_key(&self, key: &SigningKey) -> Result<(), KeyError> {
        self.write(&self.key_path(key.kid()), key.to_pem().as_bytes())
    }

    /// Removes private keys that the ring does not use: withdrawn ones, and those of a change that was never finished.
    /// Call it under the lock alone.
    pub fn sweep(&self, manifest: &Manifest) -> Result<(), KeyError> {
        let in_use = [self.key_path(manifest.current()), self.key_path(manifest.next())];
        for entry in fs::read_dir(&self.path).map_err(KeyError::io(&self.path))? {
            let path = entry.map_err(KeyError::io(&self.path))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let draft = name.ends_with(".new") && (name.contains(".pem.") || name.contains(MANIFEST));
            if (draft || name.ends_with(".pem")) && !in_use.contains(&path) {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(KeyError::io(path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn key_path(&self, kid: &Kid) -> PathBuf {
        self.path.join(format!("{kid}.pem"))
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), KeyError> {
        write_private(path, content).map_err(KeyError::io(path))
    }
}

/// Waits until nobody else holds this lock file, and holds it.
pub(crate) fn lock(path: &Path) -> io::Result<Lock> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(Lock { _file: file })
}

/// Writes a file that only its owner may read, all of it or nothing, and not before it is on disk.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name =
        path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_string_lossy();
    let draft = parent.join(format!(".{name}.{}.new", std::process::id()));
    // What a killed process of the same number left behind is in the way.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(parent)?.sync_all()
}
