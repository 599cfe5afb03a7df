//! A port that can be named before anything listens on it.

use std::{
    fs, io,
    net::TcpListener,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the ports handed out here begin, above those that are commonly agreed on.
const FIRST: u32 = 10_240;

/// Where Linux's default range of ephemeral ports begins.
const EPHEMERAL: u32 = 32_768;

/// A port that nothing on this machine listens on.
///
/// It lies below the ephemeral range: a port the kernel chose for us (`bind` to 0) is free again once that listener is
/// closed, and may become the local end of anyone's connection before the caller listens on it. No port is given twice
/// within a process, and processes begin at different ones.
///
/// # Errors
/// When every port of the range is taken.
pub fn free_port() -> io::Result<u16> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let span = ephemeral_start() - FIRST;
    let start = process::id().wrapping_mul(0x9E37_79B1) % span;
    for _ in 0..span {
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        let candidate = u16::try_from(FIRST + start.wrapping_add(nth) % span);
        if let Ok(port) = candidate
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "every port below the ephemeral range is taken"))
}

/// The first ephemeral port; a range that was widened downwards past ours is taken for the default one.
fn ephemeral_start() -> u32 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|start| (FIRST + 1_000..=EPHEMERAL).contains(start))
        .unwrap_or(EPHEMERAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_an_ephemeral_one() {
        let ports: Vec<u16> = (0..64).map(|_| free_port().unwrap()).collect();
        let mut different = ports.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), ports.len());
        assert!(ports.iter().all(|port| u32::from(*port) < ephemeral_start()), "{ports:?}");
    }

    #[test]
    fn a_port_somebody_listens_on_is_passed_over() {
        let first = free_port().unwrap();
        let _taken = TcpListener::bind(("127.0.0.1", first + 1)).ok();
        assert_ne!(free_port().unwrap(), first + 1);
    }
}
