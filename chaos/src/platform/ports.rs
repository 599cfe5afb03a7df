//! Ports that are named before anybody listens on them.

use std::{io, net::TcpListener};

/// Below the range out of which the kernel gives the local ends of connections, so that none of these is one by chance.
const RANGE: std::ops::Range<u16> = 10_240..32_000;
const TRIES: usize = 1_000;

/// So many ports, all different, that nobody on this machine listens on.
pub(super) fn free(count: usize) -> io::Result<Vec<u16>> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..TRIES {
        if held.len() == count {
            break;
        }
        // Held until all are found, so that none is found twice.
        held.extend(TcpListener::bind(("127.0.0.1", rand::random_range(RANGE))));
    }
    if held.len() < count {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no free ports on loopback"));
    }
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn all_are_different() {
        let ports = super::free(40).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 40);
    }
}
