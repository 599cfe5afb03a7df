//! Where the services are: as the environment says, else as they have registered, else where they usually are.

use std::{collections::BTreeMap, time::Duration};

use sqlx::PgPool;
use tokio::time::timeout;
use viscount_chassis::config::{ConfigError, Env};

/// How many instances of a service are asked.
const MOST: i64 = 8;
/// How long the list may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where one instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name for people: the address.
    pub instance: String,
    /// Such as `http://10.0.0.7:8084`.
    pub url: String,
}

/// Where each service is.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    given: BTreeMap<&'static str, String>,
    usual: BTreeMap<&'static str, String>,
}

impl Peers {
    /// Reads `COORDINATION_ORDERS_URL`, `COORDINATION_INVENTORY_URL` and `COORDINATION_PAYMENTS_URL`; where these are not
    /// set and nobody has registered, the services are expected on this machine, on their own ports.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut peers = Self::default();
        for (service, url, port, usual) in [
            ("orders", "COORDINATION_ORDERS_URL", "ORDERS_PORT", 8084_u16),
            ("inventory", "COORDINATION_INVENTORY_URL", "INVENTORY_PORT", 8083),
            ("payments", "COORDINATION_PAYMENTS_URL", "PAYMENTS_PORT", 8087),
        ] {
            if let Some(given) = env.get(url) {
                let is_base = reqwest::Url::parse(given).is_ok_and(|url| {
                    matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
                });
                if !is_base {
                    return Err(ConfigError::new(url, "must look like http://127.0.0.1:8084"));
                }
                peers.given.insert(service, given.trim_end_matches('/').to_owned());
            }
            match env.parse_or(port, usual)? {
                0 => {}
                port => drop(peers.usual.insert(service, format!("http://127.0.0.1:{port}"))),
            }
        }
        Ok(peers)
    }

    /// Where the instances of a service are; none when nobody says.
    pub async fn of(&self, pool: &PgPool, service: &str) -> Vec<Peer> {
        if let Some(given) = self.given.get(service) {
            return vec![Peer::at(given)];
        }
        let registered = sqlx::query_scalar::<_, String>(
            "select address from instances where service = $1 and not expired and expires_at > now()
             order by instance_id limit $2",
        );
        let registered = registered.bind(service).bind(MOST).fetch_all(pool);
        match timeout(PATIENCE, registered).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => {
                addresses.iter().map(|address| Peer::at(&format!("http://{address}"))).collect()
            }
            _ => self.usual.get(service).map(|url| Peer::at(url)).into_iter().collect(),
        }
    }
}

impl Peer {
    fn at(url: &str) -> Self {
        let instance = url.split_once("://").map_or(url, |(_, rest)| rest).to_owned();
        Self { instance, url: url.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_wrong_address_is_told_before_anything_starts() {
        for wrong in ["orders:8084", "ftp://orders", "http://", "http://orders?x=1"] {
            let env = Env::from_pairs([("COORDINATION_ORDERS_URL", wrong)]);
            assert_eq!(Peers::from_env(&env).unwrap_err().variable, "COORDINATION_ORDERS_URL", "{wrong}");
        }
    }

    #[test]
    fn without_a_word_they_are_on_this_machine_unless_their_port_is_any() {
        let env = Env::from_pairs([("INVENTORY_PORT", "0"), ("ORDERS_PORT", "9999")]);
        let peers = Peers::from_env(&env).unwrap();
        assert_eq!(peers.usual.get("orders").unwrap(), "http://127.0.0.1:9999");
        assert_eq!(peers.usual.get("payments").unwrap(), "http://127.0.0.1:8087");
        assert_eq!(peers.usual.get("inventory"), None);
    }
}
