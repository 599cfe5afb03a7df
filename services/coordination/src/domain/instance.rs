//! An instance of a service, as it tells of itself.

use std::{collections::BTreeMap, fmt, net::Ipv6Addr, str::FromStr, time::Duration};

use uuid::Uuid;

use super::ServiceName;

/// One running process of a service; a new one for each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(Uuid);

impl InstanceId {
    /// As a plain id: the stream of its events.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for InstanceId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for InstanceId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of a registration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not host:port.
    #[error("must be host:port, such as 10.0.0.7:8084, orders:8084 or [::1]:8084")]
    Address,
    /// Too short or too long a lease.
    #[error("must be from {} to {} seconds", Lease::SHORTEST, Lease::LONGEST)]
    Lease,
    /// Too many or too long entries.
    #[error("at most {} entries, names of 1 to 64 and values of at most 256 characters", Metadata::MOST)]
    Metadata,
    /// No or too long a version.
    #[error("must have 1 to 64 visible ASCII characters")]
    Version,
}

/// Where an instance listens. Whether it can be reached from here is the operator's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Checks the form: a host name, an IPv4 address or an IPv6 address in brackets, and a port.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let (host, port) = text.rsplit_once(':').ok_or(ValueError::Address)?;
        let digits = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
        let port_fits = digits && port.parse().is_ok_and(|port: u16| port > 0);
        let host_fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                (1..=253).contains(&host.len()) && host.chars().all(allowed)
            }
        };
        if port_fits && host_fits { Ok(Self(text.to_owned())) } else { Err(ValueError::Address) }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long an instance is believed to be there without another word from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease(u16);

impl Lease {
    const SHORTEST: u16 = 5;
    const LONGEST: u16 = 300;
    /// Unless the instance says otherwise.
    pub const DEFAULT: Lease = Lease(15);

    /// Checks the bounds.
    pub fn new(seconds: i64) -> Result<Self, ValueError> {
        let seconds = u16::try_from(seconds).map_err(|_| ValueError::Lease)?;
        if (Self::SHORTEST..=Self::LONGEST).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(ValueError::Lease)
        }
    }

    /// In seconds.
    pub const fn seconds(self) -> u16 {
        self.0
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// Whatever else an instance tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    const MOST: usize = 16;

    /// Checks the bounds.
    pub fn new(entries: BTreeMap<String, String>) -> Result<Self, ValueError> {
        let fits = |(name, value): (&String, &String)| {
            (1..=64).contains(&name.chars().count()) && value.chars().count() <= 256
        };
        if entries.len() <= Self::MOST && entries.iter().all(fits) {
            Ok(Self(entries))
        } else {
            Err(ValueError::Metadata)
        }
    }

    /// The entries.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// What an instance says when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Itself.
    pub id: InstanceId,
    /// What it serves.
    pub service: ServiceName,
    /// Where it listens.
    pub address: Address,
    /// The version of its program.
    pub build: String,
    /// For how long.
    pub lease: Lease,
    /// What else.
    pub metadata: Metadata,
}

impl Registration {
    /// Checks a program's version.
    pub fn build(text: &str) -> Result<String, ValueError> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(text.to_owned()) } else { Err(ValueError::Version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["10.0.0.7:8084", "orders:8084", "[::1]:8084", "a-b.c_d.example:1", "h:65535"] {
            assert!(Address::new(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            ":",
            "orders",
            "orders:",
            ":8084",
            "orders:0",
            "orders:65536",
            "orders:+80",
            "orders:8o",
            "::1:80",
            "[::1]",
            "[::g]:80",
            "http://orders:80",
            "orders:80/",
            "user@orders:80",
            "or ders:80",
            "orders:80 ",
        ];
        for bad in bad {
            assert_eq!(Address::new(bad), Err(ValueError::Address), "{bad}");
        }
    }

    #[test]
    fn a_lease_has_bounds() {
        assert!(Lease::new(5).is_ok() && Lease::new(300).is_ok());
        for bad in [i64::MIN, -1, 0, 4, 301, 65_536 + 15, i64::MAX] {
            assert_eq!(Lease::new(bad), Err(ValueError::Lease), "{bad}");
        }
    }
}
