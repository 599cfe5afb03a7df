//! Start of the whole: own the folder, find the programs, make the cluster, take a running server over or
//! start one.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use super::account::Account;
use super::binaries::{Binaries, Sources, Version};
use super::cluster::{Folder, NewCluster, Password};
use super::owner::{Lifetime, Owner};
use super::postmaster::{Postmaster, StartFailure, clear_stale};
use super::{DevPgError, DevPostgresConfig, settings};

/// Somebody may take a free port between our look and the server's.
const PORT_TRIES: u32 = 5;
/// Backends of a killed server notice and end within moments.
const LEFTOVERS_DEADLINE: Duration = Duration::from_secs(20);

/// A server and all that is needed to start it again.
#[derive(Debug)]
pub(super) struct Server {
    folder: Folder,
    account: Account,
    binaries: Binaries,
    settings: Vec<String>,
    password: Password,
    port: u16,
    taken_over: bool,
    lifetime: Lifetime,
    postmaster: Postmaster,
    owner: Option<Owner>,
}

impl Server {
    pub(super) fn start(config: DevPostgresConfig, lifetime: Lifetime) -> Result<Self, DevPgError> {
        let account = Account::choose()?;
        Self::start_as(account, config, lifetime)
    }

    pub(super) fn start_as(
        account: Account,
        config: DevPostgresConfig,
        lifetime: Lifetime,
    ) -> Result<Self, DevPgError> {
        let began = Instant::now();
        let folder = Folder::open(&config.data_dir)?;
        let owner = Owner::claim(&folder, lifetime)?;
        let made_by = folder.made_by()?;
        let binaries = Sources::from_env(folder.root())?.find(account, made_by)?;
        let settings = settings::settings(&config, binaries.version.major);
        let start = Start { folder: &folder, account, binaries: &binaries, settings: &settings };
        let running = start.take_over(config.port)?;
        let taken_over = running.is_some();
        let (postmaster, port) = match running {
            Some(running) => running,
            None => {
                // Only now: a server that still ran under another account would lose its files.
                account.take(folder.root())?;
                if made_by.is_none() {
                    let new = NewCluster { fsync: config.fsync, login: lifetime.login() };
                    folder.init(account, &binaries, new)?;
                }
                start.fresh(config.port)?
            }
        };
        let password = folder.password()?;
        tracing::info!(
            version = %binaries.version, port, pid = postmaster.pid(), taken_over, made = made_by.is_none(),
            elapsed_ms = began.elapsed().as_millis() as u64, "private postgres is up"
        );
        Ok(Self {
            folder,
            account,
            binaries,
            settings,
            password,
            port,
            taken_over,
            lifetime,
            postmaster,
            owner: Some(owner),
        })
    }

    pub(super) fn data_dir(&self) -> &Path {
        self.folder.root()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn password(&self) -> &Password {
        &self.password
    }

    pub(super) fn version(&self) -> Version {
        self.binaries.version
    }

    pub(super) fn taken_over(&self) -> bool {
        self.taken_over
    }

    pub(super) fn pid(&self) -> u32 {
        self.postmaster.pid()
    }

    /// Whether it is kept when it dies under us.
    pub(super) fn is_kept(&self) -> bool {
        self.lifetime == Lifetime::Handover
    }

    pub(super) fn lives(&mut self) -> bool {
        self.postmaster.lives()
    }

    /// Starts it again, where its clients look for it.
    pub(super) fn restart(&mut self) -> Result<(), DevPgError> {
        let start = Start {
            folder: &self.folder,
            account: self.account,
            binaries: &self.binaries,
            settings: &self.settings,
        };
        let (postmaster, _) = start.fresh(Some(self.port))?;
        self.postmaster = postmaster;
        Ok(())
    }

    pub(super) fn cut_log(&self) {
        self.folder.cut_log();
    }

    /// Stops it and gives the folder free.
    pub(super) fn stop(&mut self) -> Result<(), DevPgError> {
        match self.lifetime {
            Lifetime::Handover | Lifetime::Bound => self.postmaster.stop()?,
            Lifetime::ThrowAway => {
                self.postmaster.abandon();
                self.postmaster.stop()?;
                fs::remove_dir_all(self.folder.root()).map_err(DevPgError::io(self.folder.root()))?;
            }
        }
        if let Some(owner) = self.owner.take() {
            owner.release();
        }
        Ok(())
    }
}

/// Dropped without `stop`: the server is asked to stop, the watcher sees to the rest.
impl Drop for Server {
    fn drop(&mut self) {
        if self.owner.is_some() {
            self.folder.forget_running();
            match self.lifetime {
                Lifetime::Handover | Lifetime::Bound => self.postmaster.ask_to_stop(),
                Lifetime::ThrowAway => self.postmaster.abandon(),
            }
        }
    }
}

/// One start of a server on a cluster.
struct Start<'a> {
    folder: &'a Folder,
    account: Account,
    binaries: &'a Binaries,
    settings: &'a [String],
}

impl Start<'_> {
    /// The server that an earlier owner left running, if it is ready and set up as we would; otherwise it is
    /// stopped.
    fn take_over(&self, wanted: Option<u16>) -> Result<Option<(Postmaster, u16)>, DevPgError> {
        let Some((mut postmaster, port, ready)) = Postmaster::running(self.folder) else {
            return Ok(None);
        };
        let known = fs::read_to_string(self.folder.running()).unwrap_or_default();
        if let Some(port) = port
            && ready
            && known == self.description(postmaster.pid())
            && wanted.is_none_or(|wanted| wanted == port)
        {
            return Ok(Some((postmaster, port)));
        }
        tracing::info!(pid = postmaster.pid(), "stopping the postgres an earlier owner left running");
        postmaster.stop()?;
        Ok(None)
    }

    fn fresh(&self, wanted: Option<u16>) -> Result<(Postmaster, u16), DevPgError> {
        clear_stale(self.folder)?;
        let since = Instant::now();
        let mut tries = 0;
        loop {
            let port = match wanted {
                Some(port) => port,
                None => self.free_port(tries)?,
            };
            match Postmaster::start(
                self.folder,
                self.account,
                &self.binaries.program("postgres"),
                &self.arguments(port),
            ) {
                Ok(postmaster) => {
                    let notes = [
                        (self.folder.port(), format!("{port}\n")),
                        (self.folder.running(), self.description(postmaster.pid())),
                    ];
                    for (path, text) in notes {
                        fs::write(&path, text).map_err(DevPgError::io(&path))?;
                    }
                    return Ok((postmaster, port));
                }
                Err(StartFailure::PortTaken(_)) if wanted.is_none() && tries < PORT_TRIES => tries += 1,
                Err(StartFailure::Leftovers(_)) if since.elapsed() < LEFTOVERS_DEADLINE => {
                    // An owner that was killed in the middle of a start leaves a server that shows up only
                    // now.
                    match Postmaster::running(self.folder) {
                        Some((mut postmaster, ..)) => postmaster.stop()?,
                        None => super::pause(),
                    }
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// The port of the last run when it is free, so that a URL noted down stays good.
    fn free_port(&self, tries: u32) -> Result<u16, DevPgError> {
        let last = fs::read_to_string(self.folder.port()).ok().and_then(|text| text.trim().parse().ok());
        if let Some(last) = last
            && tries == 0
            && TcpListener::bind(("127.0.0.1", last)).is_ok()
        {
            return Ok(last);
        }
        crate::ports::free_port().map_err(|error| DevPgError::Start(format!("no free port: {error}")))
    }

    fn arguments(&self, port: u16) -> Vec<String> {
        let mut arguments = vec![
            "-D".to_owned(),
            self.folder.pgdata().to_string_lossy().into_owned(),
            "-p".to_owned(),
            port.to_string(),
        ];
        for setting in self.settings {
            arguments.extend(["-c".to_owned(), setting.clone()]);
        }
        arguments
    }

    /// What a running server is recognised by: this process, account, programs and settings.
    fn description(&self, pid: u32) -> String {
        format!(
            "{pid}\n{:?}\n{}\n{}\n",
            self.account,
            self.binaries.program("postgres").display(),
            self.settings.join("\n")
        )
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    /// The kernel's number of the user who runs the server.
    fn runs_as(server: &Server) -> u32 {
        fs::metadata(format!("/proc/{}", server.pid())).expect("it runs").uid()
    }

    #[test]
    fn root_without_namespaces_runs_it_as_another_user_and_can_change_over() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("for everybody");
        let config = DevPostgresConfig::new(dir.path().join("data"));
        let start = |account| Server::start_as(account, config.clone(), Lifetime::Handover).expect("starts");

        let mut made = start(Account::other());
        assert_ne!(runs_as(&made), 0);
        made.stop().expect("stops");

        let chosen = Account::choose().expect("an account");
        start(chosen).stop().expect("root takes the folder over");
        let mut again = start(Account::other());
        assert_ne!(runs_as(&again), 0, "and gives it back");
        again.stop().expect("stops");
    }

    #[test]
    fn a_folder_the_other_user_cannot_enter_is_one_clear_line() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("for root alone");
        let config = DevPostgresConfig::new(dir.path().join("data"));
        let error = Server::start_as(Account::other(), config, Lifetime::Handover).expect_err("cannot enter");
        assert!(matches!(error, DevPgError::Account(_)), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
