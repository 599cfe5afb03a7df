//! One keep-alive connection, with as little around it as possible.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::failure::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest pause that a server may ask a client for.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The URL is not one that this harness can use.
    #[error("{0} is not of the form http://host:port")]
    Url(String),
    /// The host has no address.
    #[error("{0} cannot be found: {1}")]
    Unknown(String, std::io::Error),
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

impl WireError {
    /// The same in a few words that do not differ from one request to the next, to be counted by.
    pub fn reason(&self) -> String {
        match self {
            Self::Connect(_, error) => format!("no connection ({})", error.kind()),
            Self::Broken(error) if error.is_incomplete_message() => "the connection ended early".to_owned(),
            Self::Broken(_) => "the connection broke".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Where the platform is.
#[derive(Debug, Clone)]
pub struct Target {
    authority: String,
    host: HeaderValue,
    /// Looked up once: a run stays with the machine it began with.
    addresses: Rc<[SocketAddr]>,
}

impl Target {
    /// From `http://host:port`, looked up.
    pub async fn find(url: &str) -> Result<Self, WireError> {
        let (authority, host) = parts(url)?;
        let found = tokio::net::lookup_host(&authority).await;
        let addresses = found.map_err(|error| WireError::Unknown(authority.clone(), error))?.collect();
        Ok(Self { authority, host, addresses })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The `Host` header.
    pub fn host(&self) -> HeaderValue {
        self.host.clone()
    }

    /// The port.
    pub fn port(&self) -> Option<u16> {
        self.addresses.first().map(SocketAddr::port)
    }

    /// True when it is on this machine, whatever its name resolves to.
    pub fn is_loopback(&self) -> bool {
        !self.addresses.is_empty() && self.addresses.iter().all(|address| address.ip().is_loopback())
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<TcpStream, WireError> {
        let refused = |error| WireError::Connect(self.authority.clone(), error);
        let stream = match timeout(CONNECTING, TcpStream::connect(&*self.addresses)).await {
            Ok(stream) => stream.map_err(refused)?,
            Err(_) => return Err(refused(std::io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(refused)?;
        Ok(stream)
    }
}

/// The authority with its port, and the `Host` header.
fn parts(url: &str) -> Result<(String, HeaderValue), WireError> {
    let wrong = || WireError::Url(url.to_owned());
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?;
    let port = if authority.port().is_none() { ":80" } else { "" };
    Ok((format!("{authority}{port}"), host))
}

/// What to ask.
#[derive(Clone)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// The whole `Authorization` header.
    pub bearer: Option<HeaderValue>,
    /// The idempotency key.
    pub key: Option<&'a str>,
    /// One more header.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// A JSON body.
    pub body: Bytes,
}

impl<'a> Ask<'a> {
    /// A `GET`.
    pub fn get(path: &'a str, bearer: Option<HeaderValue>) -> Self {
        Self { method: Method::GET, path, bearer, key: None, header: None, body: Bytes::new() }
    }

    /// A `POST` of JSON.
    pub fn post(path: &'a str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path, bearer: None, key: None, header: None, body: body.into() }
    }
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// When to come again.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

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
        if let Some((name, value)) = ask.header {
            request = request.header(name, value);
        }
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request.body(Full::new(ask.body))?;
        let sender = self.sender().await?;
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
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
                let stream = self.target.connect().await?;
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
        assert_eq!(parts("http://127.0.0.1:8080").unwrap().0, "127.0.0.1:8080");
        assert_eq!(parts("http://shop/").unwrap().0, "shop:80");
        for wrong in
            ["https://a:1", "a:1", "", "/path", "http//x", "http://a/v1", "http://a?b", "http://u:p@a"]
        {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_target_on_this_machine_is_known_by_its_address() {
        for (url, here) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:1", true),
            ("http://127.9.9.9", true),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Target::find(url).await.unwrap().is_loopback(), here, "{url}");
        }
    }
}
