//! A gateway on a free port, services that are small real servers, and a client that can misbehave.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use viscount_chassis::auth::Role;
use viscount_chassis::auth::testing::TestIssuer;
use viscount_contracts::UserId;
use viscount_gateway::routes::Service;
use viscount_gateway::{Auth, GatewayConfig, GatewayHandle, Upstreams, start};

/// Longer than anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub type Answer = Response<BoxBody<Bytes, Infallible>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A gateway under test.
pub struct TestGateway {
    pub handle: GatewayHandle,
    pub addr: SocketAddr,
    pub issuer: TestIssuer,
    pub http: reqwest::Client,
}

/// A service behind it.
pub struct TestService {
    pub addr: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    tasks: JoinHandle<()>,
}

/// One request as a service saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub target: String,
    pub headers: HeaderMap,
}

impl TestGateway {
    /// All paths lead to one service.
    pub async fn before(service: &TestService) -> TestGateway {
        TestGateway::with(service, |_| {}).await
    }

    pub async fn with(service: &TestService, change: impl FnOnce(&mut GatewayConfig)) -> TestGateway {
        let everywhere =
            Service::ALL.into_iter().fold(Upstreams::none(), |all, one| all.with_addr(one, service.addr));
        TestGateway::to(everywhere, change).await
    }

    pub async fn to(upstreams: Upstreams, change: impl FnOnce(&mut GatewayConfig)) -> TestGateway {
        viscount_chassis::telemetry::metrics::install();
        let issuer = TestIssuer::new();
        let mut config = GatewayConfig::new(Auth::Shared(issuer.verifier()), upstreams);
        config.calls.probe_every = Duration::from_millis(20);
        change(&mut config);
        let handle = start(config).await.unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        TestGateway { addr: handle.addr(), handle, issuer, http }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn token(&self, role: Role) -> String {
        self.issuer.token(UserId::new(), role)
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    pub async fn get_as(&self, role: Role, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).bearer_auth(self.token(role)).send().await.unwrap()
    }

    pub async fn post_as(&self, role: Role, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        self.http.post(self.url(path)).bearer_auth(self.token(role)).body(body).send().await.unwrap()
    }

    /// Sends bytes on a connection of their own.
    pub async fn raw(&self, bytes: &[u8]) -> RawConnection {
        let mut connection = RawConnection::open(self.addr).await;
        connection.send(bytes).await;
        connection
    }
}

impl TestService {
    /// Answers every request with what it was.
    pub async fn echo() -> TestService {
        TestService::answering(|request| async move {
            let (parts, body) = request.into_parts();
            let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
            json_answer(
                &json!({"method": parts.method.as_str(), "target": parts.uri.to_string(), "length": length}),
            )
        })
        .await
    }

    pub async fn answering<F, Fut>(handler: F) -> TestService
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        TestService::listening("127.0.0.1:0".parse().unwrap(), handler).await
    }

    pub async fn listening<F, Fut>(addr: SocketAddr, handler: F) -> TestService
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr).unwrap();
        let listener = socket.listen(1024).unwrap();
        let addr = listener.local_addr().unwrap();
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tasks = tokio::spawn(serve(listener, handler, seen.clone()));
        TestService { addr, seen, tasks }
    }

    /// The requests that were not probes.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Gone, connections and all, as after a kill.
    pub async fn kill(self) {
        self.tasks.abort();
        let _ = self.tasks.await;
    }
}

async fn serve(listener: TcpListener, handler: Handler, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (handler, seen) = (handler.clone(), seen.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (handler, seen) = (handler.clone(), seen.clone());
            async move {
                if request.uri().path() == "/readyz" {
                    return Ok(json_answer(&json!({"status": "ready"})));
                }
                seen.lock()
                    .unwrap()
                    .push(Seen { target: request.uri().to_string(), headers: request.headers().clone() });
                Ok::<_, Infallible>(handler(request).await)
            }
        });
        connections
            .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

pub fn json_answer(value: &Value) -> Answer {
    let mut response = text_answer(value.to_string());
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

pub fn text_answer(text: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(text.into()).boxed())
}

/// A client that says exactly what it is told to.
pub struct RawConnection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// One answer, as it came.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: StatusCode,
    pub head: String,
    pub body: Vec<u8>,
}

impl RawConnection {
    pub async fn open(addr: SocketAddr) -> Self {
        RawConnection { stream: TcpStream::connect(addr).await.unwrap(), read: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next answer, whose body must have a length.
    pub async fn answer(&mut self) -> RawAnswer {
        timeout(PATIENCE, self.read_answer()).await.expect("an answer in time")
    }

    /// The next head alone, as of an answer to HEAD.
    pub async fn answer_without_body(&mut self) -> String {
        timeout(PATIENCE, self.read_head()).await.expect("an answer in time")
    }

    async fn read_head(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more().await > 0, "closed within a head: {:?}", String::from_utf8_lossy(&self.read));
        };
        String::from_utf8(self.read.drain(..end).collect()).unwrap().to_ascii_lowercase()
    }

    async fn read_answer(&mut self) -> RawAnswer {
        let head = self.read_head().await;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        while self.read.len() < length {
            assert!(self.more().await > 0, "closed within a body");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        RawAnswer { status, head, body: self.read.drain(..length).collect() }
    }

    async fn more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count
    }

    /// True when the other side closes without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && timeout(PATIENCE, self.more()).await.expect("closed in time") == 0
    }
}

impl RawAnswer {
    pub fn problem(&self) -> Value {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The problem in an answer, checked for what every problem has.
pub async fn problem(response: reqwest::Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    let problem: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["status"], status);
    assert!(problem["type"].as_str().unwrap().starts_with("/problems/"));
    assert_eq!(problem["trace_id"].as_str().unwrap().len(), 32);
    assert!(problem["instance"].as_str().unwrap().starts_with('/'));
    problem
}

/// Waits until something is so.
pub async fn until<F, Fut>(what: &str, mut so: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never came: {what}"));
}
