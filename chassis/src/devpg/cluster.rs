//! The folder of a cluster: its files, and making it.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use super::DevPgError;
use super::account::Account;
use super::binaries::Binaries;
use super::settings::SUPERUSER;

/// The log is copied aside and cut at this size.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;
/// Beginning of the name of a cluster that `initdb` is working on.
const HALF_MADE: &str = "pgdata.new.";
/// At most this much of the log goes into an error.
const LOG_EXCERPT: usize = 600;

/// The superuser's password; never printed.
#[derive(Clone)]
pub(super) struct Password(String);

impl Password {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How to make a cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewCluster {
    /// Whether it survives a power cut right after it was made.
    pub(super) fsync: bool,
    /// How clients show that they know the password.
    pub(super) login: &'static str,
}

/// Paths inside a data folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder when it is missing. Its path becomes absolute: the server runs elsewhere.
    pub(super) fn open(root: &Path) -> Result<Self, DevPgError> {
        fs::create_dir_all(root).map_err(DevPgError::io(root))?;
        let root = root.canonicalize().map_err(DevPgError::io(root))?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn pgdata(&self) -> PathBuf {
        self.root.join("pgdata")
    }

    pub(super) fn owner_lock(&self) -> PathBuf {
        self.root.join("owner.lock")
    }

    pub(super) fn port(&self) -> PathBuf {
        self.root.join("port")
    }

    pub(super) fn running(&self) -> PathBuf {
        self.root.join("running")
    }

    /// Makes sure that nobody takes the running server over: it is about to be stopped. Not being able to say
    /// so only costs the successor a restart.
    pub(super) fn forget_running(&self) {
        if let Err(error) = fs::remove_file(self.running()) {
            tracing::debug!(%error, "no note about a running postgres to remove");
        }
    }

    fn password_file(&self) -> PathBuf {
        self.root.join("password")
    }

    fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Major version that made the cluster; none when there is no cluster yet.
    pub(super) fn made_by(&self) -> Result<Option<u32>, DevPgError> {
        let path = self.pgdata().join("PG_VERSION");
        if !self.pgdata().exists() {
            return Ok(None);
        }
        let version = fs::read_to_string(&path).map_err(DevPgError::io(&path))?;
        Ok(version.trim().parse().ok())
    }

    /// Password of the superuser.
    pub(super) fn password(&self) -> Result<Password, DevPgError> {
        let path = self.password_file();
        match fs::read_to_string(&path) {
            Ok(password) => Ok(Password(password.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(DevPgError::NoPassword(path)),
            Err(error) => Err(DevPgError::io(&path)(error)),
        }
    }

    /// Makes the cluster. It appears under its name only when it is complete, so a kill in the middle leaves
    /// nothing half made.
    pub(super) fn init(
        &self,
        account: Account,
        binaries: &Binaries,
        new: NewCluster,
    ) -> Result<(), DevPgError> {
        self.remove_half_made()?;
        // A name of its own: the initdb of an owner that was killed may still be writing to the last one.
        let half_made = self.root.join(format!("{HALF_MADE}{}", uuid::Uuid::new_v4().simple()));
        self.write_password()?;
        fs::create_dir(&half_made).map_err(DevPgError::io(&half_made))?;
        fs::set_permissions(&half_made, Permissions::from_mode(0o700)).map_err(DevPgError::io(&half_made))?;
        for path in [&self.root, &half_made, &self.password_file()] {
            account.take(path)?;
        }
        if !account.can_enter(&self.root) {
            let root = self.root.display();
            return Err(DevPgError::Account(format!(
                "postgres refuses to run as root, and the unprivileged user it would run as cannot enter \
                 {root}: run as an ordinary user, or choose a data folder that everybody may enter"
            )));
        }
        let output = self.initdb(account, binaries, &half_made, new)?;
        if !output.status.success() {
            return Err(DevPgError::InitDb(one_line(&output.stderr)));
        }
        fs::rename(&half_made, self.pgdata()).map_err(DevPgError::io(&self.pgdata()))
    }

    fn remove_half_made(&self) -> Result<(), DevPgError> {
        for entry in self.root.read_dir().map_err(DevPgError::io(&self.root))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(HALF_MADE)
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::debug!(path = %entry.path().display(), %error, "an earlier initdb is still at work");
            }
        }
        Ok(())
    }

    /// Collation is by code point everywhere: the same order on every machine, and indexes that no library
    /// update breaks.
    fn initdb(
        &self,
        account: Account,
        binaries: &Binaries,
        target: &Path,
        new: NewCluster,
    ) -> Result<Output, DevPgError> {
        let program = binaries.program("initdb");
        let run = |locale: &[&str]| {
            let mut command = account.command(&program);
            command.arg("--pgdata").arg(target).arg("--pwfile").arg(self.password_file());
            command.args([
                "--username",
                SUPERUSER,
                "--auth-host",
                new.login,
                "--auth-local",
                "scram-sha-256",
            ]);
            command.args(["--encoding", "UTF8", "--lc-messages", "C"]).args(locale);
            if !new.fsync {
                command.arg("--no-sync");
            }
            command.output().map_err(DevPgError::io(&program))
        };
        if binaries.version.major >= 17 {
            return run(&["--no-locale", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]);
        }
        let output = run(&["--no-locale", "--lc-ctype", "C.UTF-8"])?;
        if output.status.success() {
            return Ok(output);
        }
        // Old system libraries know no C.UTF-8.
        run(&["--no-locale"])
    }

    fn write_password(&self) -> Result<(), DevPgError> {
        let path = self.password_file();
        let password = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            writeln!(file, "{password}")?;
            file.sync_all()
        };
        write().map_err(DevPgError::io(&path))
    }

    /// Where the server's messages go.
    pub(super) fn open_log(&self) -> Result<File, DevPgError> {
        self.cut_log();
        OpenOptions::new().create(true).append(true).open(self.log()).map_err(DevPgError::io(&self.log()))
    }

    /// Copies a log that has grown aside and cuts it. The server appends, so it goes on at the new end.
    /// Losing a few lines beats a full disk, and a failure here is no reason to stop a database.
    pub(super) fn cut_log(&self) {
        let log = self.log();
        if log.metadata().is_ok_and(|metadata| metadata.len() > LOG_LIMIT) {
            let copied = fs::copy(&log, log.with_extension("log.1"));
            let cut = copied.and_then(|_| OpenOptions::new().write(true).open(&log)?.set_len(0));
            if let Err(error) = cut {
                tracing::warn!(log = %log.display(), %error, "could not cut the postgres log");
            }
        }
    }

    /// What the log says after a position.
    pub(super) fn log_since(&self, position: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(self.log()).and_then(|mut log| {
            log.seek(SeekFrom::Start(position))?;
            log.read_to_end(&mut text)
        });
        match read {
            Ok(_) => one_line(&text),
            Err(error) => error.to_string(),
        }
    }
}

/// Several lines as one, the end of it when it is long: that is where the reason stands.
fn one_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let joined = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ");
    let start = joined.char_indices().rev().nth(LOG_EXCERPT).map_or(0, |(index, _)| index);
    joined[start..].to_owned()
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line_of_bounded_length() {
        assert_eq!(one_line(b" a \n\n b\n"), "a | b");
        assert_eq!(one_line("ä".repeat(5_000).as_bytes()).chars().count(), LOG_EXCERPT + 1);
    }

    #[test]
    fn a_grown_log_is_copied_and_cut_while_the_server_writes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path()).expect("opens");
        let mut server_side = folder.open_log().expect("log");
        server_side.write_all(&vec![b'x'; LOG_LIMIT as usize + 1]).expect("written");
        folder.cut_log();
        server_side.write_all(b"after the cut\n").expect("written");
        assert_eq!(folder.log_since(0), "after the cut");
        assert_eq!(folder.log().with_extension("log.1").metadata().expect("kept").len(), LOG_LIMIT + 1);
    }
}
