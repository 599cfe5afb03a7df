//! Coordination with everything around it, as one replica or two, and a method for each endpoint.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;
use viscount_chassis::{
    auth::Role,
    config::Env,
    service::Running,
    store::DatabaseConfig,
    testing::{TestBed, eventually},
};
use viscount_contracts::{Envelope, Topic, UserId, events::to_json};
use viscount_coordination::{Config, MIGRATIONS};

pub struct TestApp {
    pub bed: TestBed,
    pub database: DatabaseConfig,
    pub running: Running,
    client: Client,
    token: String,
}

/// What a test looks at: status, the headers that matter, body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub etag: Option<String>,
    pub retry_after: Option<String>,
    pub json: Value,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let (etag, retry_after) = (header("etag"), header("retry-after"));
        let status = response.status();
        let text = response.text().await.unwrap();
        let json = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Self { status, etag, retry_after, json }
    }

    pub fn etag(&self) -> &str {
        self.etag.as_deref().expect("an ETag")
    }

    pub fn token(&self) -> i64 {
        self.json["token"].as_i64().expect("a token")
    }

    pub fn items(&self) -> &[Value] {
        self.json["items"].as_array().expect("items")
    }

    /// The pointers of the fields that are wrong.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().expect("field errors");
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn refused_as(self, status: u16, kind: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.json["type"], format!("/problems/{kind}"));
        answer
    }
}

impl TestApp {
    pub async fn start() -> Self {
        let bed = TestBed::start().await;
        let database = bed.database(&MIGRATIONS, "coordination").await;
        Self::on(bed, database).await
    }

    /// Another replica on the same database, as another process would be.
    pub async fn replica(&self) -> Self {
        Self::on(self.bed.beside(), self.database.clone()).await
    }

    async fn on(bed: TestBed, database: DatabaseConfig) -> Self {
        let env = Env::from_pairs([("COORDINATION_PORT", "0"), ("COORDINATION_PROBE_EVERY", "100ms")]);
        let mut config = Config::from_env(&env, database.url.clone()).unwrap();
        config.database.url = database.url.clone();
        let running = viscount_coordination::start(config, bed.platform()).await.unwrap();
        let health = running.health.clone();
        eventually(|| {
            let health = health.clone();
            async move { health.report().await.is_ready().then_some(()) }
        })
        .await;
        let token = bed.token(Role::Admin, UserId::new());
        let client = Client::builder().timeout(Duration::from_secs(40)).build().unwrap();
        Self { bed, database, running, client, token }
    }

    /// A pool to look into the database.
    pub fn pool(&self) -> &PgPool {
        self.running.database.pool()
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub fn plain(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.running.addr());
        self.client.request(method.parse().unwrap(), url)
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.plain(method, path).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path).json(&body)).await
    }

    pub async fn register(&self, body: Value) -> Answer {
        self.post("/v1/services/register", body).await
    }

    pub async fn heartbeat(&self, id: Uuid) -> Answer {
        self.send(self.request("POST", &format!("/v1/services/{id}/heartbeat"))).await
    }

    pub async fn leave(&self, id: Uuid) -> Answer {
        self.send(self.request("DELETE", &format!("/v1/services/{id}"))).await
    }

    pub async fn show(&self, id: Uuid) -> Answer {
        self.get(&format!("/v1/services/{id}")).await
    }

    pub async fn health(&self, id: Uuid) -> Answer {
        self.get(&format!("/v1/services/{id}/health")).await
    }

    /// What is known, when there is news compared with this tag.
    pub async fn news(&self, path: &str, known: &str, wait: u64) -> Answer {
        let with = if path.contains('?') { '&' } else { '?' };
        let request = self.request("GET", &format!("{path}{with}wait={wait}"));
        self.send(request.header("if-none-match", known)).await
    }

    pub async fn configure(&self, service: &str, (header, tag): (&str, &str), settings: Value) -> Answer {
        let request = self.request("PUT", &format!("/v1/config/{service}")).header(header, tag);
        self.send(request.json(&json!({ "settings": settings }))).await
    }

    pub async fn lock(&self, name: &str, owner: &str, ttl: u64, wait: u64) -> Answer {
        let body = json!({ "owner": owner, "ttl_seconds": ttl, "wait_seconds": wait });
        self.post(&format!("/v1/locks/{name}"), body).await
    }

    pub async fn keep(&self, name: &str, token: i64, ttl: u64) -> Answer {
        let body = json!({ "token": token, "ttl_seconds": ttl });
        self.send(self.request("PUT", &format!("/v1/locks/{name}")).json(&body)).await
    }

    pub async fn unlock(&self, name: &str, token: i64) -> Answer {
        self.send(self.request("DELETE", &format!("/v1/locks/{name}?token={token}"))).await
    }

    /// The events that this replica has published so far, at least `count`: kind and content.
    pub async fn events(&self, count: usize) -> Vec<(Envelope, Value)> {
        let mut reader = self.bed.follow(Topic::Coordination).await;
        let mut events = Vec::new();
        while events.len() < count {
            let more = tokio::time::timeout(Duration::from_secs(20), reader.next(1_000)).await;
            events.extend(more.expect("more events").unwrap().iter().map(|event| {
                let json = to_json(Topic::Coordination, &event.kind, &event.data).unwrap();
                ((**event).clone(), json)
            }));
        }
        events
    }
}

/// A registration of an instance that nobody can reach.
pub fn instance(id: Uuid, service: &str) -> Value {
    json!({
        "service": service,
        "instance_id": id,
        "address": "127.0.0.1:9",
        "version": "0.1.0",
        "metadata": { "zone": "a" },
    })
}

/// The value with some members different.
pub fn with(mut value: Value, changes: Value) -> Value {
    value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    value
}
