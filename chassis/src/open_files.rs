//! How many files, and so how many connections, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to what the system allows this process, and tells it; `None` is no limit. A stream takes one file
/// at the service, and two at the gateway: ten thousand streams through one process take thirty thousand.
pub fn allow_as_many_open_files_as_possible() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // Not allowed here: what was allowed before still is.
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_highest_there_is() {
        let allowed = allow_as_many_open_files_as_possible();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!((allowed, current), (maximum, maximum));
    }
}
