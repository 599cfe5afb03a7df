//! How a private broker lets clients in: in the clear, over TLS, with passwords, with certificates.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// The door for clients. By default everybody may come in, in the clear.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    /// Who the broker is, over TLS.
    pub tls: Option<Tls>,
    /// Who clients have to be.
    pub sasl: Option<Sasl>,
}

/// PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The broker's key (PKCS#8, not encrypted) and certificate.
    pub keystore: PathBuf,
    /// The authorities whose clients are let in; without it, clients need no certificate.
    pub truststore: Option<PathBuf>,
}

/// One client's name and password.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// The client's name.
    pub user: String,
    /// Without quotes and backslashes.
    pub password: String,
}

/// SASL mechanisms that need nothing but a name and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself travels (RFC 4616).
    Plain,
    /// Salted challenge and response (RFC 7677).
    ScramSha256,
    /// The same with the longer hash.
    ScramSha512,
}

impl Mechanism {
    /// As Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Listener {
    /// Kafka's name for it.
    pub(super) fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }

    /// Lines of `server.properties` for the listener `CLIENTS`.
    pub(super) fn settings(&self) -> String {
        let mut text = String::new();
        let store = |kind: &str, path: &Path| {
            format!(
                "listener.name.clients.ssl.{kind}.type=PEM\nlistener.name.clients.ssl.{kind}.location={}\n",
                path.display()
            )
        };
        if let Some(tls) = &self.tls {
            text += &store("keystore", &tls.keystore);
            if let Some(truststore) = &tls.truststore {
                text += &store("truststore", truststore);
                text += "listener.name.clients.ssl.client.auth=required\n";
            }
        }
        if let Some(Sasl { mechanism, user, password }) = &self.sasl {
            let module = match mechanism {
                Mechanism::Plain => {
                    format!("plain.PlainLoginModule required user_{user}=\"{password}\"")
                }
                _ => "scram.ScramLoginModule required".to_owned(),
            };
            let name = mechanism.name();
            let _ = writeln!(text, "listener.name.clients.sasl.enabled.mechanisms={name}");
            let _ = writeln!(
                text,
                "listener.name.clients.{}.sasl.jaas.config=org.apache.kafka.common.security.{module};",
                name.to_ascii_lowercase()
            );
        }
        text
    }

    /// The user that is written into the broker's own records, which is where SCRAM looks.
    pub(super) fn record(&self) -> Option<String> {
        let Sasl { mechanism, user, password } = self.sasl.as_ref()?;
        let name = mechanism.name();
        (*mechanism != Mechanism::Plain).then(|| format!("{name}=[name={user},password={password}]"))
    }
}
