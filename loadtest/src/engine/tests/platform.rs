//! A very small platform in the test's own process: as much of the contract as journeys need, and it can be made to
//! stall, to forget tokens and to refuse.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

/// What it does, and what it has seen.
pub struct Platform {
    pub address: SocketAddr,
    /// Until then no request is answered.
    pub stalled_until: Cell<Option<Instant>>,
    /// The token that is good: whoever logs in gets it.
    pub token: Cell<u32>,
    /// Every order is refused.
    pub refuses: Cell<bool>,
    /// Pages of the catalogue are not JSON.
    pub garbles: Cell<bool>,
    /// How all orders stand.
    pub status: Cell<&'static str>,
    /// Accepted orders, and when.
    pub placed: RefCell<Vec<(Uuid, Timestamp)>>,
    /// Requests by method and path's first words.
    pub seen: RefCell<HashMap<String, u32>>,
    /// Bodies of orders, in the order of their keys' first appearance.
    pub orders: RefCell<Vec<String>>,
    answers: RefCell<HashMap<String, Bytes>>,
}

impl Platform {
    pub async fn start() -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let platform = Rc::new(Self {
            address: listener.local_addr().unwrap(),
            stalled_until: Cell::new(None),
            token: Cell::new(0),
            refuses: Cell::new(false),
            garbles: Cell::new(false),
            status: Cell::new("completed"),
            placed: RefCell::default(),
            seen: RefCell::default(),
            orders: RefCell::default(),
            answers: RefCell::default(),
        });
        let server = platform.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let platform = server.clone();
                let service = service_fn(move |request| {
                    let platform = platform.clone();
                    async move { Ok::<_, Infallible>(platform.answer(request).await) }
                });
                tokio::task::spawn_local(
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        platform
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn stall(&self, lasts: Duration) {
        self.stalled_until.set(Some(Instant::now() + lasts));
    }

    pub fn count(&self, what: &str) -> u32 {
        self.seen.borrow().get(what).copied().unwrap_or_default()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(until) = self.stalled_until.get() {
            sleep_until(until).await;
        }
        let path = request.uri().path().to_owned();
        let what = format!("{} {}", request.method(), path.split('/').take(3).collect::<Vec<_>>().join("/"));
        *self.seen.borrow_mut().entry(what).or_default() += 1;
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (key, bearer) = (header("idempotency-key"), header("authorization"));
        match (request.method(), path.as_str()) {
            (&Method::POST, "/v1/users") => answer(201, json!({})),
            (&Method::POST, "/v1/auth/login") => {
                answer(200, json!({"access_token": self.token.get().to_string(), "expires_in": 900}))
            }
            (&Method::GET, "/v1/products") if self.garbles.get() => {
                let mut answer = answer(200, json!({}));
                *answer.body_mut() = Full::new(Bytes::from_static(b"<html>"));
                answer
            }
            (&Method::GET, "/v1/products") => {
                let product =
                    |number| json!({"id": Uuid::from_u128(number), "name": format!("Red mug {number}")});
                let items: Vec<_> = (1..=20).map(product).collect();
                answer(200, json!({"items": items, "next_cursor": null}))
            }
            (&Method::POST, "/v1/orders") => {
                if bearer != Some(format!("Bearer {}", self.token.get())) {
                    return answer(401, json!({"type": "/problems/unauthorized"}));
                }
                if self.refuses.get() {
                    let mut answer = answer(503, json!({"type": "/problems/overloaded"}));
                    answer.headers_mut().insert(header::RETRY_AFTER, 1.into());
                    return answer;
                }
                let key = key.unwrap();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let known = self.answers.borrow().get(&key).cloned();
                let replayed = known.is_some();
                let text = known.unwrap_or_else(|| {
                    self.orders.borrow_mut().push(String::from_utf8(body.to_vec()).unwrap());
                    let id = Uuid::now_v7();
                    self.placed.borrow_mut().push((id, Timestamp::now()));
                    json!({"id": id, "status": "created"}).to_string().into()
                });
                self.answers.borrow_mut().insert(key, text.clone());
                let mut answer = Response::new(Full::new(text));
                *answer.status_mut() = StatusCode::CREATED;
                if replayed {
                    answer.headers_mut().insert("idempotent-replayed", "true".parse().unwrap());
                }
                answer
            }
            (&Method::GET, path) if path.starts_with("/v1/orders") => {
                if bearer != Some(format!("Bearer {}", self.token.get())) {
                    return answer(401, json!({"type": "/problems/unauthorized"}));
                }
                // Each was completed 100 ms after its creation, and changed again a minute later if it did not stay so.
                let completed = |at: Timestamp| at + SignedDuration::from_millis(100);
                let order = |(id, at): &(Uuid, Timestamp)| {
                    let status = self.status.get();
                    let later = SignedDuration::from_secs(if status == "completed" { 0 } else { 60 });
                    json!({"id": id, "status": status, "created_at": at, "updated_at": completed(*at) + later})
                };
                let placed = self.placed.borrow();
                let one = placed.iter().find(|(id, _)| path.contains(&id.to_string()));
                answer(
                    200,
                    match one {
                        Some((_, at)) if path.ends_with("/events") => json!({"items": [
                            {"status": "created", "occurred_at": at},
                            {"status": "completed", "occurred_at": completed(*at)},
                        ]}),
                        Some(one) => order(one),
                        None => json!({"items": placed.iter().map(order).collect::<Vec<_>>()}),
                    },
                )
            }
            (&Method::GET, _) => answer(200, json!({"items": []})),
            _ => answer(404, json!({"type": "/problems/not-found"})),
        }
    }
}

fn answer(status: u16, body: serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
