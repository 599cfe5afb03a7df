//! A small service with a route for everything that the layer and the extractors do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use utoipa::OpenApi;
use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::auth::testing::TestIssuer;
use viscount_chassis::auth::{JwksSource, Role, Verifier};
use viscount_chassis::http::{
    Body, Caller, Health, HttpHandle, HttpSpec, IdempotencyKey, IfMatch, MaybeCaller, Page, Paged, PathId,
    PreferWait, Query, StartError, current_traceparent, etag, not_modified, serve,
};
use viscount_chassis::problem::Problem;
use viscount_contracts::{ProductId, UserId};

pub struct TestApp {
    pub http: HttpHandle,
    pub health: Health,
    pub issuer: TestIssuer,
    pub gate: Arc<Gate>,
    pub client: reqwest::Client,
}

/// Lets a test know that a handler has started, and lets the handler go on.
#[derive(Default)]
pub struct Gate {
    pub entered: Notify,
    pub open: Notify,
}

#[derive(OpenApi)]
#[openapi(paths(documented, documented_put, documented_list, documented_create, documented_post))]
struct Api;

#[utoipa::path(put, path = "/v1/things/{id}", responses((status = 204)))]
#[allow(dead_code)]
fn documented_put() {}

#[utoipa::path(get, path = "/v1/things", responses((status = 200)))]
#[allow(dead_code)]
fn documented_list() {}

#[utoipa::path(post, path = "/v1/things", responses((status = 201)))]
#[allow(dead_code)]
fn documented_create() {}

#[utoipa::path(get, path = "/v1/things/{id}", responses((status = 200)))]
#[allow(dead_code)]
fn documented() {}

#[utoipa::path(post, path = "/v1/macro", responses((status = 200)))]
#[allow(dead_code)]
fn documented_post() {}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
    quantity: u32,
    #[serde(default)]
    lines: Vec<Line>,
    #[serde(default)]
    ratio: Option<f64>,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    product_id: ProductId,
    quantity: u32,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(default)]
    brand: Option<String>,
    #[serde(default)]
    min_price: Option<i64>,
}

#[get("/v1/macro")]
async fn macro_route() -> &'static str {
    "fine"
}

fn routes(app: &mut web::ServiceConfig, gate: Arc<Gate>) {
    app.app_data(web::Data::from(gate))
        .service(web::resource("/v1/things").route(web::get().to(list)).route(
            web::post().to(|Body(thing): Body<Thing>| async move { HttpResponse::Created().json(thing) }),
        ))
        .service(
            web::resource("/v1/things/{id}")
                .route(web::get().to(|request: HttpRequest, PathId(id): PathId<ProductId>| async move {
                    not_modified(&request, 7)
                        .unwrap_or_else(|| HttpResponse::Ok().insert_header(etag(7)).json(id))
                }))
                .route(web::put().to(|matched: IfMatch| async move {
                    matched.check(7)?;
                    Ok::<_, Problem>(HttpResponse::NoContent().finish())
                })),
        )
        .service(macro_route)
        .route("/v1/keyed", web::post().to(|key: IdempotencyKey| async move { key.into_inner() }))
        .route("/v1/me", web::get().to(|caller: Caller| async move { caller.subject.to_string() }))
        .route(
            "/v1/greeting",
            web::get().to(|caller: MaybeCaller| async move {
                caller.as_ref().map_or("stranger".to_owned(), |caller| caller.subject.to_string())
            }),
        )
        .route("/v1/wait", web::get().to(|PreferWait(wait): PreferWait| async move { format!("{wait:?}") }))
        .route("/v1/trace", web::get().to(|| async { current_traceparent().unwrap_or_default() }))
        .route("/v1/gate", web::get().to(through_gate))
        .route("/v1/gate/{id}", web::get().to(through_gate))
        .route(
            "/v1/panic/{id}",
            web::get().to(|| async {
                tokio::task::yield_now().await;
                let nothing = std::hint::black_box(None::<u8>);
                nothing.expect("a secret detail").to_string()
            }),
        )
        .route("/v1/bare/{status}", web::get().to(bare))
        .route(
            "/v1/oauth",
            web::get().to(|| async { HttpResponse::BadRequest().json(json!({"error": "invalid_grant"})) }),
        )
        .route("/v1/number/{n}", web::get().to(|n: web::Path<u32>| async move { n.to_string() }))
        .route("/v1/plain", web::post().to(|thing: web::Json<Thing>| async move { thing.name.clone() }))
        .route("/v1/bytes", web::post().to(|bytes: web::Bytes| async move { bytes.len().to_string() }))
        .route("/v1/failed", web::get().to(failed));
}

async fn list(Query(filter): Query<Filter>, page: Page) -> Result<Paged<u32>, Problem> {
    if filter.brand.as_deref() == Some("none") {
        return Ok(Paged { items: vec![], next_cursor: None });
    }
    let after = page.after::<u32>()?.unwrap_or_default();
    let items = (after + 1..=120).take(page.limit as usize + 1).collect();
    Ok(Paged::new(items, page.limit, |last| *last))
}

async fn through_gate(gate: web::Data<Gate>) -> &'static str {
    gate.entered.notify_one();
    gate.open.notified().await;
    "through"
}

async fn bare(status: web::Path<u16>) -> HttpResponse {
    HttpResponse::build(status.into_inner().try_into().unwrap()).finish()
}

/// Fails as a library might: an error of actix, not a problem, with words that are not for clients.
async fn failed() -> Result<String, actix_web::Error> {
    Err(actix_web::error::ErrorInternalServerError("password=hunter2"))
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut HttpSpec)) -> Self {
        Self::try_start(change).expect("started")
    }

    pub fn try_start(change: impl FnOnce(&mut HttpSpec)) -> Result<Self, StartError> {
        let issuer = TestIssuer::new();
        let health = Health::new();
        let mut spec = HttpSpec {
            service: "testing",
            host: "127.0.0.1".to_owned(),
            port: 0,
            port_variable: "TESTING_PORT",
            workers: 1,
            verifier: issuer.verifier(),
            health: health.clone(),
            openapi: Api::openapi(),
            supervisor: Supervisor::root("testing", Intensity::default(), |_| {}),
            dead_letters: None,
            body_limit: HttpSpec::BODY_LIMIT,
            deadline: HttpSpec::DEADLINE,
        };
        change(&mut spec);
        let gate = Arc::new(Gate::default());
        let shared = Arc::clone(&gate);
        let http = serve(spec, move |app| routes(app, Arc::clone(&shared)))?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Ok(TestApp { http, health, issuer, gate, client })
    }

    pub fn addr(&self) -> SocketAddr {
        self.http.addr()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    pub fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path))
    }

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(self.url(path))
    }

    pub fn token(&self, role: Role) -> String {
        self.issuer.token(UserId::new(), role)
    }
}

/// The problem in an answer, after checking that it is a complete one.
pub async fn problem(answer: reqwest::Response) -> Value {
    let status = answer.status().as_u16();
    let path = answer.url().path().to_owned();
    assert_eq!(header(&answer, "content-type"), "application/problem+json");
    assert!(!header(&answer, "x-request-id").is_empty());
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["instance"], path, "{problem}");
    assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{problem}");
    assert!(!problem["title"].as_str().unwrap().is_empty(), "{problem}");
    assert_eq!(problem["trace_id"].as_str().unwrap().len(), 32, "{problem}");
    problem
}

pub fn header(answer: &reqwest::Response, name: &str) -> String {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// A verifier that waits for an identity which is not there.
pub fn lonely_verifier(issuer: &TestIssuer) -> Verifier {
    issuer.verifier_from(JwksSource::Url("http://127.0.0.1:9/jwks.json".to_owned()))
}
