//! The client: requests with a token and a time limit, answers with a bound.

use std::time::Duration;

use reqwest::{Client, Method, Response, Url, header::HeaderMap, redirect::Policy};
use serde::de::DeserializeOwned;
use serde_json::Value;
use viscount_chassis::config::Env;

use super::{OpsArgs, OpsError, credentials::Credentials};
use crate::{commands::health::innermost, failure::Failure, home::Home};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// The largest answer that is taken, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// The way to a platform's operations API. One for each command; requests may be under way at the same time.
pub struct OpsClient {
    http: Client,
    base: Url,
    credentials: Credentials,
}

/// A success.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, at most 16 MiB.
    pub body: Vec<u8>,
    url: String,
}

impl Answer {
    /// The body as JSON of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, OpsError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| OpsError::Unreadable { url: self.url.clone(), why: error.to_string() })
    }
}

impl OpsClient {
    /// How long an answer may take when nobody needs it otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// Finds the gateway and the token. Nobody is asked yet.
    pub fn open(args: &OpsArgs, env: &Env) -> Result<Self, Failure> {
        let text = match &args.url {
            Some(url) => url.clone(),
            None => Home::open(env)?.endpoints()?.gateway.ok_or_else(|| {
                Failure::Usage("no gateway runs on VISCOUNT_DATA_DIR: give --url".to_owned())
            })?,
        };
        let base = base(&text).ok_or_else(|| {
            Failure::Usage(format!("{text:?} is not the url of a gateway, such as http://127.0.0.1:8080"))
        })?;
        let http = Client::builder()
            .connect_timeout(CONNECT)
            // The token is for who listens there, and for nobody in its place.
            .no_proxy()
            .redirect(Policy::none())
            .build()?;
        Ok(Self { http, base, credentials: Credentials::find(args.token.as_deref(), env)? })
    }

    /// Where the gateway is.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// `GET`, as JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, OpsError> {
        self.send(Method::GET, path, query, None, Self::PATIENCE).await?.json()
    }

    /// Any request: `path` begins with a slash, `query` is escaped here, `body` is sent as JSON, and the whole answer has
    /// to be there `within` that time. A status other than 2xx is an error.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Answer, OpsError> {
        match self.send_once(method.clone(), path, query, body, within).await {
            // Refused before anything was done, so it may be asked again.
            Err(OpsError::Unauthorized(_)) if self.credentials.renew() => {
                self.send_once(method, path, query, body, within).await
            }
            other => other,
        }
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Answer, OpsError> {
        let token =
            self.credentials.token().map_err(|failure| OpsError::Unauthorized(failure.to_string()))?;
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).bearer_auth(token).timeout(within);
        if let Some(body) = body {
            request = request.json(body);
        }
        let failed = |error: reqwest::Error| self.failed(&error, within);
        let mut response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(&mut response, within).await?;
        match status.is_success() {
            true => Ok(Answer { headers, body, url: self.url().to_owned() }),
            false => Err(OpsError::refusal(status.as_u16(), &body)),
        }
    }

    async fn read(&self, response: &mut Response, within: Duration) -> Result<Vec<u8>, OpsError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error, within))? {
            if body.len() + chunk.len() > LARGEST {
                let why = format!("more than {} MiB", LARGEST / 1024 / 1024);
                return Err(OpsError::Unreadable { url: self.url().to_owned(), why });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn failed(&self, error: &reqwest::Error, within: Duration) -> OpsError {
        let url = self.url().to_owned();
        match error.is_timeout() && !error.is_connect() {
            true => OpsError::TimedOut { url, seconds: within.as_secs() },
            false => OpsError::Unreachable { url, why: innermost(error) },
        }
    }
}

/// A gateway may live below a path, behind somebody else's door.
fn base(text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    url.set_query(None);
    url.set_fragment(None);
    // Neither shown nor sent: the token says who asks.
    let plain = url.username().is_empty() && url.password().is_none();
    (fits && plain).then_some(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn client(url: &str) -> OpsClient {
        let args = OpsArgs { url: Some(url.to_owned()), token: Some("a.b.c".to_owned()) };
        OpsClient::open(&args, &Env::from_pairs::<String, String>([])).unwrap()
    }

    /// Answers one request with these bytes, and returns what was asked.
    async fn answering(bytes: &'static [u8]) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/behind/", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (url, asked)
    }

    #[tokio::test]
    async fn it_asks_below_the_given_path_with_the_token() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{\"ok\": 1}";
        let (url, asked) = answering(answer).await;
        let got: Value = client(&url).get("/v1/ops/actors", &[("service", "a&b")]).await.unwrap();
        assert_eq!(got["ok"], 1);
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /behind/v1/ops/actors?service=a%26b HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer a.b.c\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn refusals_and_foreign_answers_are_told_apart() {
        let (url, _) = answering(
            b"HTTP/1.1 403 Forbidden\r\ncontent-length: 21\r\nconnection: close\r\n\r\n{\"title\":\"Forbidden\"}",
        )
        .await;
        let refused = client(&url).get::<Value>("/", &[]).await.unwrap_err();
        assert_eq!(refused, OpsError::Forbidden("Forbidden".to_owned()));
        let (url, _) =
            answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").await;
        let foreign = client(&url).get::<Value>("/", &[]).await.unwrap_err();
        assert!(matches!(foreign, OpsError::Unreadable { .. }), "{foreign}");
    }

    #[tokio::test]
    async fn silence_ends_in_time_and_nobody_is_told_as_nobody() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let within = Duration::from_millis(50);
        let waited = client(&url).send(Method::GET, "/", &[], None, within).await.unwrap_err();
        assert!(matches!(waited, OpsError::TimedOut { .. }), "{waited}");
        drop(silent);
        let nobody = client(&url).get::<Value>("/", &[]).await.unwrap_err();
        assert!(matches!(nobody, OpsError::Unreachable { .. }), "{nobody}");
    }

    #[test]
    fn only_a_plain_http_url_is_a_gateway() {
        for wrong in ["gateway:8080", "ftp://gateway", "http://me:secret@gateway", ""] {
            let args = OpsArgs { url: Some(wrong.to_owned()), token: Some("a".to_owned()) };
            let env = Env::from_pairs::<String, String>([]);
            assert!(matches!(OpsClient::open(&args, &env), Err(Failure::Usage(_))), "{wrong}");
        }
        assert_eq!(client("https://shop.example/ops?x=1").url(), "https://shop.example/ops");
    }
}
