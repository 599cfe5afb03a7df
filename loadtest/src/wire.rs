//! One keep-alive connection, with as little around it as possible.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The URL is not one that this harness can use.
    #[error("{0} is not of the form http://host:port")]
    Url(String),
    /// No connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    /// It broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// It took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    /// The request cannot be written.
    #[error(transparent)]
    Request(#[from] http::Error),
}

/// Where the platform is.
#[derive(Debug, Clone)]
pub struct Target {
    authority: String,
    host: HeaderValue,
}

impl Target {
    /// From `http://host:port`.
    pub fn parse(url: &str) -> Result<Self, WireError> {
        let wrong = || WireError::Url(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?;
        let port = if authority.port().is_none() { ":80" } else { "" };
        Ok(Self { authority: format!("{authority}{port}"), host })
    }
}

/// What to ask.
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// The whole `Authorization` header.
    pub bearer: Option<HeaderValue>,
    /// The idempotency key.
    pub key: Option<&'a str>,
    /// A JSON body.
    pub body: Bytes,
}

impl<'a> Ask<'a> {
    /// A `GET`.
    pub fn get(path: &'a str, bearer: Option<HeaderValue>) -> Self {
        Self { method: Method::GET, path, bearer, key: None, body: Bytes::new() }
    }

    /// A `POST` of JSON.
    pub fn post(path: &'a str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path, bearer: None, key: None, body: body.into() }
    }
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// When to come again.
    pub retry_after: Option<Duration>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body, when the status is the one that was hoped for.
    pub fn expect(self, what: &str, status: u16) -> Result<Bytes, Failure> {
        if self.status.as_u16() == status {
            return Ok(self.body);
        }
        let body = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        Err(Failure::Answer { what: what.to_owned(), status: self.status.as_u16(), body })
    }
}

/// A connection that is made when needed, and again when it broke.
pub struct Connection {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Not connected yet.
    pub fn new(target: &Target) -> Self {
        Self { target: target.clone(), sender: None }
    }

    /// One request, one answer. After an error the next request uses a new connection.
    pub async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, WireError> {
        let answer = timeout(PATIENCE, self.try_ask(ask)).await.unwrap_or(Err(WireError::Late));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn try_ask(&mut self, ask: Ask<'_>) -> Result<Answer, WireError> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(header::HOST, self.target.host.clone());
        if let Some(bearer) = ask.bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        if let Some(key) = ask.key {
            request = request.header("idempotency-key", key);
        }
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request.body(Full::new(ask.body))?;
        let sender = self.sender().await?;
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let retry_after =
            head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, retry_after: retry_after.map(Duration::from_secs), body })
    }

    /// The connection; a new one when there is none, or when the server has closed it.
    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, WireError> {
        let kept = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = match kept {
            Some(sender) => sender,
            None => {
                let refused = |error| WireError::Connect(self.target.authority.clone(), error);
                let stream = TcpStream::connect(&self.target.authority).await.map_err(refused)?;
                stream.set_nodelay(true).map_err(refused)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::task::spawn_local(async move {
                    // How it ended is told to whoever asks on it.
                    let _ = connection.await;
                });
                sender
            }
        };
        Ok(self.sender.insert(sender))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_plain_http_urls_are_targets() {
        assert_eq!(Target::parse("http://127.0.0.1:8080").unwrap().authority, "127.0.0.1:8080");
        assert_eq!(Target::parse("http://shop/").unwrap().authority, "shop:80");
        for wrong in ["https://a:1", "a:1", "", "/path", "http//x"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
