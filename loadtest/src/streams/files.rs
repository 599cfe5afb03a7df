//! Open files: each stream is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process needs besides its streams.
const BESIDES: u64 = 256;

/// The machine does not let this process open so many files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may open {allowed} files (hard limit), {streams} streams and connections need {needed}: raise it \
     with `ulimit -Hn {needed}` as root, or LimitNOFILE= of the service"
)]
pub struct NotEnoughFiles {
    streams: u64,
    needed: u64,
    allowed: u64,
}

/// Raises the soft limit so that so many streams and connections can be open at once, as far as the hard limit lets.
pub fn allow_files(streams: u64) -> Result<(), NotEnoughFiles> {
    let limit = getrlimit(Resource::Nofile);
    let needed = streams.saturating_add(BESIDES);
    let Some(raised) = raised(limit, streams)? else { return Ok(()) };
    let allowed = limit.current.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, raised).map_err(|_| NotEnoughFiles { streams, needed, allowed })
}

/// As many streams and connections as the hard limit lets be open at once.
pub fn files_at_most() -> u64 {
    // None means no limit.
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).saturating_sub(BESIDES)
}

/// The limit to set, when one has to be set.
fn raised(limit: Rlimit, streams: u64) -> Result<Option<Rlimit>, NotEnoughFiles> {
    let needed = streams.saturating_add(BESIDES);
    // None means no limit.
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(None);
    }
    match limit.maximum {
        Some(allowed) if allowed < needed => Err(NotEnoughFiles { streams, needed, allowed }),
        Some(_) => Ok(Some(Rlimit { current: limit.maximum, maximum: limit.maximum })),
        None => Ok(Some(Rlimit { current: Some(needed), maximum: None })),
    }
}

/// Says so when a process of this machine has opened nearly as many files as it may.
pub fn at_its_limit(name: &str, pid: u32) -> Option<String> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let most = soft_limit(&limits)?;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    (open * 100 >= most * 98).then(|| {
        format!("{name} has opened {open} of the {most} files that it may: it cannot hold more streams (`ulimit -n`)")
    })
}

/// Of the text of `/proc/<pid>/limits`.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_as_far_as_the_hard_one_lets() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(raised(limit(Some(20_000), Some(20_000)), 10_000).unwrap(), None);
        assert_eq!(raised(limit(None, None), u64::MAX).unwrap(), None);
        let set = raised(limit(Some(1024), Some(20_000)), 10_000).unwrap().unwrap();
        assert_eq!((set.current, set.maximum), (Some(20_000), Some(20_000)));
        let set = raised(limit(Some(1024), None), 10_000).unwrap().unwrap();
        assert_eq!((set.current, set.maximum), (Some(10_256), None));
        let error = raised(limit(Some(1024), Some(4096)), 10_000).unwrap_err();
        assert!(error.to_string().contains("may open 4096 files"), "{error}");
    }

    #[test]
    fn a_limit_is_read_from_where_linux_has_it() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 20000                files     \n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(
            soft_limit("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(at_its_limit("this", std::process::id()), None);
    }
}
