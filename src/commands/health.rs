//! `viscount health`: is what listens there ready?
//!
//! For whoever looks after a process from outside and has nothing but this program, as in an image without a shell.

use std::{error::Error, process::ExitCode, time::Duration};

use reqwest::{Client, Url, redirect::Policy};
use viscount_chassis::config::{ConfigError, Env};

use crate::{cli::HealthArgs, failure::Failure};

/// Asks once. The code is 0 when the answer is a success, 1 when it is another one or does not come in time.
pub async fn run(args: &HealthArgs, env: &Env) -> Result<ExitCode, Failure> {
    let url = match &args.url {
        Some(text) => target(text).ok_or_else(|| {
            Failure::Usage(
                "the url must look like http://127.0.0.1:8084 or http://127.0.0.1:8084/readyz".into(),
            )
        })?,
        None => gateway(env)?,
    };
    let client = Client::builder()
        .timeout(Duration::from_secs(args.timeout))
        // What listens here is asked, and nobody in its place.
        .no_proxy()
        .redirect(Policy::none())
        .build()?;
    let answer =
        client.get(url.clone()).send().await.map_err(|error| Failure::doing(&url, innermost(&error)))?;
    let status = answer.status();
    if status.is_success() {
        println!("{url} {}", status.as_u16());
        return Ok(ExitCode::SUCCESS);
    }
    // The report of `/readyz` says which check fails.
    let body = answer.text().await.unwrap_or_default();
    let told: String = body.chars().take(500).collect();
    Err(Failure::doing(format_args!("{url} {}", status.as_u16()), told.trim()))
}

/// What is at the bottom of an error: `connection refused` tells more than that a request was not sent.
pub fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The URL that was given; `/readyz` unless it names a path.
fn target(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok().filter(|url| url.scheme() == "http" || url.scheme() == "https")?;
    if url.path() == "/" {
        url.set_path("/readyz");
    }
    Some(url)
}

/// The gateway of this machine, where the environment says that it listens.
fn gateway(env: &Env) -> Result<Url, Failure> {
    let port: u16 = env.parse_or("VISCOUNT_PORT", 8080)?;
    let refused = || ConfigError::new("VISCOUNT_PORT", "names no port to ask: say the url").into();
    Some(port)
        .filter(|port| *port != 0)
        .and_then(|port| target(&format!("http://127.0.0.1:{port}")))
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn readiness_is_asked_for_unless_a_path_is_named() {
        let asked = |text: &str| target(text).map(String::from);
        assert_eq!(asked("http://orders:8084").as_deref(), Some("http://orders:8084/readyz"));
        assert_eq!(asked("http://orders:8084/").as_deref(), Some("http://orders:8084/readyz"));
        assert_eq!(asked("http://[::1]:8084/livez").as_deref(), Some("http://[::1]:8084/livez"));
        assert_eq!(asked("orders:8084"), None);
        assert_eq!(asked("file:///etc/passwd"), None);
    }

    #[test]
    fn without_a_url_it_is_the_gateway_of_this_machine() {
        let asked = |port: &str| gateway(&Env::from_pairs([("VISCOUNT_PORT", port)])).map(String::from);
        assert_eq!(asked("").unwrap(), "http://127.0.0.1:8080/readyz");
        assert_eq!(asked("9000").unwrap(), "http://127.0.0.1:9000/readyz");
        assert!(asked("0").is_err() && asked("eighty").is_err());
    }
}
