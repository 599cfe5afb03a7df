//! Coordination as far as its clients see it: on a port that stays the same, with a memory that can be lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use viscount_chassis::coordination::{Coordination, CoordinationConfig, TokenConfig};

/// What the registry has heard.
#[derive(Default)]
pub struct Heard {
    pub registrations: Vec<Value>,
    pub heartbeats: usize,
    pub listed: BTreeMap<String, Value>,
    pub tokens: usize,
}

pub struct Registry {
    pub heard: Arc<Mutex<Heard>>,
    pub settings: watch::Sender<BTreeMap<String, (u64, Value)>>,
    pub addr: SocketAddr,
    server: Option<ServerHandle>,
}

type Settings = watch::Sender<BTreeMap<String, (u64, Value)>>;

impl Registry {
    pub fn start() -> Self {
        let mut registry = Registry {
            heard: Arc::default(),
            settings: watch::Sender::default(),
            addr: "127.0.0.1:0".parse().unwrap(),
            server: None,
        };
        registry.come_back();
        registry
    }

    /// Listens (again), on the same port.
    pub fn come_back(&mut self) {
        let (heard, settings) = (web::Data::from(self.heard.clone()), web::Data::new(self.settings.clone()));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(heard.clone())
                .app_data(settings.clone())
                .route("/v1/services/register", web::post().to(register))
                .route("/v1/services/{id}/heartbeat", web::post().to(heartbeat))
                .route("/v1/services/{id}", web::delete().to(leave))
                .route("/v1/config/{service}", web::get().to(config))
                .route("/oauth2/token", web::post().to(token))
        })
        .workers(1)
        .shutdown_timeout(0)
        .disable_signals()
        .bind(self.addr)
        .unwrap();
        self.addr = server.addrs()[0];
        let server = server.run();
        self.server = Some(server.handle());
        actix_web::rt::spawn(server);
    }

    /// Gone, connections and all.
    pub async fn go_away(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(false).await;
        }
    }

    pub fn set(&self, service: &str, settings: Value) {
        self.settings.send_modify(|all| {
            let (version, value) = all.entry(service.to_owned()).or_insert((0, json!({})));
            *version += 1;
            *value = settings;
        });
    }

    pub fn config(&self) -> CoordinationConfig {
        CoordinationConfig {
            url: format!("http://{}", self.addr),
            token: TokenConfig::Given("granted".to_owned()),
            advertised_host: None,
            lease: Duration::from_secs(1),
        }
    }

    pub fn coordination(&self) -> Coordination {
        Coordination::new(self.config()).unwrap()
    }

    /// Waits until what it has heard is so.
    pub async fn until<T>(&self, mut look: impl FnMut(&Heard) -> Option<T>) -> T {
        viscount_chassis::testing::eventually(|| {
            let found = look(&self.heard.lock());
            async move { found }
        })
        .await
    }
}

fn is_ours(request: &HttpRequest) -> bool {
    request.headers().get(header::AUTHORIZATION).is_some_and(|token| token == "Bearer granted")
}

async fn register(
    request: HttpRequest,
    body: web::Json<Value>,
    heard: web::Data<Mutex<Heard>>,
) -> HttpResponse {
    if !is_ours(&request) {
        return HttpResponse::Unauthorized().finish();
    }
    let mut heard = heard.lock();
    heard.registrations.push(body.0.clone());
    let id = body["instance_id"].as_str().unwrap().to_owned();
    heard.listed.insert(id, body.0.clone());
    HttpResponse::Created().json(body.0)
}

async fn heartbeat(id: web::Path<String>, heard: web::Data<Mutex<Heard>>) -> HttpResponse {
    let mut heard = heard.lock();
    heard.heartbeats += 1;
    match heard.listed.contains_key(&*id) {
        true => HttpResponse::Ok().json(json!({})),
        false => HttpResponse::NotFound().finish(),
    }
}

async fn leave(id: web::Path<String>, heard: web::Data<Mutex<Heard>>) -> HttpResponse {
    heard.lock().listed.remove(&*id);
    HttpResponse::NoContent().finish()
}

async fn config(
    request: HttpRequest,
    service: web::Path<String>,
    settings: web::Data<Settings>,
) -> HttpResponse {
    let mut settings = settings.subscribe();
    let version =
        |all: &BTreeMap<String, (u64, Value)>| all.get(&*service).map_or(0, |(version, _)| *version);
    if let Some(known) = request.headers().get(header::IF_NONE_MATCH) {
        let known = known.to_str().unwrap().trim_matches('"').parse::<u64>().unwrap();
        let changed = settings.wait_for(|all| version(all) != known);
        if tokio::time::timeout(Duration::from_secs(20), changed).await.is_err() {
            return HttpResponse::NotModified().finish();
        }
    }
    let all = settings.borrow().clone();
    let (version, value) = all.get(&*service).cloned().unwrap_or((0, json!({})));
    HttpResponse::Ok()
        .insert_header((header::ETAG, format!("\"{version}\"")))
        .json(json!({"service": *service, "version": version, "settings": value}))
}

async fn token(form: web::Form<BTreeMap<String, String>>, heard: web::Data<Mutex<Heard>>) -> HttpResponse {
    if form.get("client_secret").is_none_or(|secret| secret != "a secret") {
        return HttpResponse::Unauthorized().json(json!({"error": "invalid_client"}));
    }
    heard.lock().tokens += 1;
    HttpResponse::Ok().json(json!({"access_token": "granted", "token_type": "Bearer", "expires_in": 900}))
}
