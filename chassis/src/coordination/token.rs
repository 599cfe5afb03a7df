//! An access token of the role `service`, from identity, renewed before it ends.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::http_client;
use super::config::{ClientSecret, TokenConfig};

/// How long identity may take.
const WITHIN: Duration = Duration::from_secs(3);
/// The longest answer of a token endpoint.
const MAX_BYTES: usize = 64 * 1024;
/// The part of its life after which a token is renewed; it is good for the rest, so identity may be away for a while.
const RENEW_AFTER: f64 = 0.7;

/// Gives a token that is good now.
pub struct TokenSource {
    config: TokenConfig,
    http: reqwest::Client,
    /// Held while somebody fetches: the others wait for the same token.
    held: Mutex<Option<Held>>,
}

struct Held {
    token: String,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl TokenSource {
    /// A source that has asked nobody yet.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(config: TokenConfig) -> Result<Self, String> {
        Ok(TokenSource { config, http: http_client()?, held: Mutex::new(None) })
    }

    /// A token, from memory or from identity. One fetch at a time; while identity is away the present token is used to
    /// its end.
    ///
    /// # Errors
    /// Why there is none, without secrets.
    pub async fn token(&self) -> Result<String, String> {
        let (url, id, secret) = match &self.config {
            TokenConfig::Given(token) => return Ok(token.clone()),
            TokenConfig::Client { url, id, secret } => (url, id, secret),
        };
        let mut held = self.held.lock().await;
        let now = Instant::now();
        if let Some(known) = &*held
            && now < known.renew_at
        {
            return Ok(known.token.clone());
        }
        match self.fetch(url, id, secret).await {
            Ok(granted) => {
                let life = Duration::from_secs(granted.expires_in);
                let (renew_at, ends_at) = (now + life.mul_f64(RENEW_AFTER), now + life);
                *held = Some(Held { token: granted.access_token.clone(), renew_at, ends_at });
                Ok(granted.access_token)
            }
            Err(problem) => match &mut *held {
                Some(known) if now < known.ends_at => {
                    // Asked again in a moment, and not by every caller until then.
                    known.renew_at = now + WITHIN;
                    Ok(known.token.clone())
                }
                _ => Err(problem),
            },
        }
    }

    /// The token was refused: the next caller gets another one.
    pub async fn refused(&self, token: &str) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|known| known.token == token) {
            *held = None;
        }
    }

    async fn fetch(&self, url: &str, id: &str, secret: &ClientSecret) -> Result<Granted, String> {
        let secret = match secret {
            ClientSecret::Given(secret) => secret.clone(),
            ClientSecret::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                text.map_err(|error| format!("{}: {error}", path.display()))?.trim().to_owned()
            }
        };
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", &secret)];
        let request = self.http.post(url).form(&form).timeout(WITHIN);
        let answer = request.send().await.map_err(|error| format!("identity: {}", error.without_url()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("identity gives no token: status {}", status.as_u16()));
        }
        let body =
            super::client::bounded(answer, MAX_BYTES).await.map_err(|error| format!("identity: {error}"))?;
        serde_json::from_slice(&body).map_err(|_| "identity's answer is no token".to_owned())
    }
}
