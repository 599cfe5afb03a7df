//! How we and the brokers know each other: TLS, passwords and certificates, from the environment.
//!
//! A name is never left unchecked: librdkafka compares a broker's certificate with the host name that was dialled, and
//! nothing here turns that off. What is set and would not be used is a mistake, and is said before anything starts: a
//! password that was meant for TLS must not travel without it.

use std::fs;

use crate::config::{ConfigError, Env};

const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
const KEY: &str = "KAFKA_SSL_KEY_LOCATION";
const CERTIFICATE: &str = "KAFKA_SSL_CERTIFICATE_LOCATION";

/// Our variables, and librdkafka's names for them.
const VARIABLES: [(&str, &str); 8] = [
    (PROTOCOL, "security.protocol"),
    (MECHANISM, "sasl.mechanism"),
    ("KAFKA_SASL_USERNAME", "sasl.username"),
    ("KAFKA_SASL_PASSWORD", "sasl.password"),
    ("KAFKA_SSL_CA_LOCATION", "ssl.ca.location"),
    (CERTIFICATE, "ssl.certificate.location"),
    (KEY, "ssl.key.location"),
    ("KAFKA_SSL_KEY_PASSWORD", "ssl.key.password"),
];

/// The mechanisms that need nothing but a name and a password.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Said where this program was built without OpenSSL.
const NOT_BUILT: &str = "needs a program that was built with the feature kafka-tls";

/// librdkafka's settings, checked.
pub(super) fn settings(env: &Env) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let (tls, sasl) = match env.get(PROTOCOL).map(str::to_ascii_lowercase).as_deref() {
        None | Some("plaintext") => (false, false),
        Some("ssl") => (true, false),
        Some("sasl_plaintext") => (false, true),
        Some("sasl_ssl") => (true, true),
        Some(_) => return problem(PROTOCOL, "must be plaintext, ssl, sasl_plaintext or sasl_ssl"),
    };
    if tls && !cfg!(feature = "kafka-tls") {
        return problem(PROTOCOL, NOT_BUILT);
    }
    used_only(env, "KAFKA_SSL_", tls, "must be ssl or sasl_ssl, for KAFKA_SSL_… is set")?;
    used_only(env, "KAFKA_SASL_", sasl, "must be sasl_ssl or sasl_plaintext, for KAFKA_SASL_… is set")?;
    if sasl {
        check_password(env)?;
    }
    check_files(env)?;
    let set =
        VARIABLES.iter().filter_map(|(variable, setting)| Some((*setting, env.get(variable)?.to_owned())));
    Ok(set.collect())
}

/// What the library says, with the names that our users know.
pub(super) fn as_variables(message: &str) -> String {
    VARIABLES
        .iter()
        .fold(message.to_owned(), |message, (variable, setting)| message.replace(setting, variable))
}

fn used_only(env: &Env, prefix: &str, used: bool, otherwise: &str) -> Result<(), ConfigError> {
    let set =
        VARIABLES.iter().any(|(variable, _)| variable.starts_with(prefix) && env.get(variable).is_some());
    if set && !used { problem(PROTOCOL, otherwise) } else { Ok(()) }
}

fn check_password(env: &Env) -> Result<(), ConfigError> {
    match env.get(MECHANISM) {
        Some("PLAIN") => {}
        Some(mechanism) if MECHANISMS.contains(&mechanism) => {
            if !cfg!(feature = "kafka-tls") {
                return problem(MECHANISM, NOT_BUILT);
            }
        }
        _ => return problem(MECHANISM, "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    }
    for variable in ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"] {
        if env.get(variable).is_none() {
            return problem(variable, "must be set, for KAFKA_SECURITY_PROTOCOL asks for it");
        }
    }
    Ok(())
}

fn check_files(env: &Env) -> Result<(), ConfigError> {
    for (variable, _) in VARIABLES.iter().filter(|(variable, _)| variable.ends_with("_LOCATION")) {
        let Some(path) = env.get(variable) else { continue };
        let readable = fs::metadata(path).and_then(|found| {
            if found.is_dir() { fs::read_dir(path).map(drop) } else { fs::File::open(path).map(drop) }
        });
        if let Err(error) = readable {
            return problem(variable, &format!("cannot be read: {error}"));
        }
    }
    match (env.get(CERTIFICATE), env.get(KEY)) {
        (Some(_), None) => problem(KEY, "must be set, for there is a certificate"),
        (None, Some(_)) => problem(CERTIFICATE, "must be set, for there is a key"),
        _ => Ok(()),
    }
}

fn problem<T>(variable: &str, problem: &str) -> Result<T, ConfigError> {
    Err(ConfigError::new(variable, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(pairs: &[(&str, &str)]) -> String {
        settings(&Env::from_pairs(pairs.iter().copied())).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_or_would_not_be_used_is_one_line_that_names_the_variable() {
        let [name, password] = [("KAFKA_SASL_USERNAME", "shop"), ("KAFKA_SASL_PASSWORD", "hunter2")];
        let [plain, mechanism] = [(PROTOCOL, "sasl_plaintext"), (MECHANISM, "PLAIN")];
        let all = settings(&Env::from_pairs([plain, mechanism, name, password])).unwrap();
        assert_eq!(all.len(), 4);
        for (pairs, variable) in [
            (vec![(PROTOCOL, "hunter2")], PROTOCOL),
            (vec![mechanism, name, password], PROTOCOL),
            (vec![("KAFKA_SSL_KEY_PASSWORD", "hunter2")], PROTOCOL),
            (vec![plain, ("KAFKA_SSL_CA_LOCATION", "/")], PROTOCOL),
            (vec![plain, name, password], MECHANISM),
            (vec![plain, (MECHANISM, "GSSAPI"), name, password], MECHANISM),
            (vec![plain, mechanism, password], "KAFKA_SASL_USERNAME"),
            (vec![plain, mechanism, name], "KAFKA_SASL_PASSWORD"),
        ] {
            let said = wrong(&pairs);
            assert!(said.starts_with(&format!("{variable}: ")), "{pairs:?}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[cfg(feature = "kafka-tls")]
    #[test]
    fn a_file_that_is_not_there_is_named() {
        let ssl = (PROTOCOL, "ssl");
        let said = wrong(&[ssl, ("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem")]);
        assert!(said.starts_with("KAFKA_SSL_CA_LOCATION: cannot be read: "), "{said}");
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(wrong(&[ssl, (CERTIFICATE, here)]).starts_with(KEY));
        assert!(wrong(&[ssl, (KEY, here)]).starts_with(CERTIFICATE));
    }

    #[cfg(not(feature = "kafka-tls"))]
    #[test]
    fn what_was_not_built_is_said() {
        let scram = [(PROTOCOL, "sasl_plaintext"), (MECHANISM, "SCRAM-SHA-256")];
        assert_eq!(wrong(&scram), format!("{MECHANISM}: {NOT_BUILT}"));
        assert_eq!(wrong(&[(PROTOCOL, "ssl")]), format!("{PROTOCOL}: {NOT_BUILT}"));
    }
}
