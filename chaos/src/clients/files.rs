//! How many files may be open at once, which is how many connections there may be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Journey, Load};

/// Files that a connection of a client takes in this process: its own end, and both ends at the proxy before the gateway
/// and at the one behind it.
const EACH: u64 = 5;
/// What else is open: the proxies' other connections, logs, pipes, the history.
const OTHERS: u64 = 1_000;

/// So many files cannot be open at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{connections} connections need {needed} open files, and {limit} are allowed: the hard limit has to be raised \
     (ulimit -Hn)"
)]
pub struct TooFewFiles {
    /// Connections of the load.
    pub connections: u64,
    /// Files.
    pub needed: u64,
    /// The hard limit.
    pub limit: u64,
}

/// Raises the limit to what this process may have, and to what the load needs where it may raise that as well. Processes
/// that are started later inherit it: this comes before the platform.
pub fn allow_files(load: &Load) -> Result<(), TooFewFiles> {
    let connections = connections(load);
    let needed = EACH * connections + OTHERS;
    let before = getrlimit(Resource::Nofile);
    for maximum in [before.maximum.map(|maximum| maximum.max(needed)), before.maximum] {
        if setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok() {
            break;
        }
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(TooFewFiles { connections, needed, limit }),
        _ => Ok(()),
    }
}

/// Requests under way, and streams.
fn connections(load: &Load) -> u64 {
    let streams = match load.journey {
        Journey::Streams => f64::from(load.watchers),
        Journey::Orders => f64::from(load.visits) * load.streams,
        Journey::SameKey | Journey::LastPieces => 0.0,
    };
    u64::from(load.connections) + streams.ceil() as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn load(text: &str) -> Load {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_journey_has_what_its_connections_take_at_the_proxies_as_well() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(4_096), maximum }).unwrap();
        for (text, needed) in [
            ("journey = \"orders\"", 5 * (256 + 1_200) + 1_000),
            ("journey = \"streams\"\nwatchers = 10000\nconnections = 100", 51_500),
        ] {
            match allow_files(&load(text)) {
                Ok(()) => assert!(getrlimit(Resource::Nofile).current.is_none_or(|limit| limit >= needed)),
                Err(few) => assert!(few.limit < few.needed && few.needed == needed, "{few}"),
            }
        }
    }
}
