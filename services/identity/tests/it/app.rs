//! One service to test, with a method per endpoint.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Client, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use viscount_chassis::{
    auth::{AuthConfig, Claims, JwksSource, Principal, Role, Verifier},
    config::Env,
    service::Running,
    store::DatabaseConfig,
    testing::{TestBed, eventually},
};
use viscount_contracts::{Envelope, Topic, UserId};
use viscount_identity::{Config, FirstAdmin, KeyRing, MIGRATIONS, PasswordsSpec};

pub const ISSUER: &str = "https://shop.test";
pub const AUDIENCE: &str = "shop";
pub const PASSWORD: &str = "correct horse battery";

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }

    /// Asserts the status and hands the answer on.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        self
    }

    /// Asserts a problem document of this kind.
    #[track_caller]
    pub fn problem(self, status: u16, kind: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.text("type"), format!("/problems/{kind}"));
        answer
    }

    /// Asserts an OAuth error.
    #[track_caller]
    pub fn oauth(self, status: u16, error: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.text("error"), error, "{:?}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.header("content-type").starts_with("application/json"));
        answer
    }
}

/// What outlives one run of the service: database, keys, and what was told about the first administrator.
pub struct Site {
    pub bed: TestBed,
    pub config: Config,
    pub told: Arc<Mutex<Vec<FirstAdmin>>>,
    _directory: TempDir,
}

impl Site {
    pub async fn new() -> Self {
        let bed = TestBed::start().await;
        let database = bed.database(&MIGRATIONS, "identity").await;
        Self::with_database(bed, database)
    }

    pub fn with_database(bed: TestBed, database: DatabaseConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = Env::from_pairs([
            ("IDENTITY_PORT", "0"),
            ("VISCOUNT_ISSUER", ISSUER),
            ("VISCOUNT_AUDIENCE", AUDIENCE),
            ("IDENTITY_KEYS_DIR", directory.path().join("keys").to_str().unwrap()),
        ]);
        let mut config = Config::from_env(&env, database.url.clone()).unwrap();
        config.database = database;
        // Hashing is slow without optimisation; nobody is turned away unless a test asks for it.
        config.passwords = PasswordsSpec { threads: 2, waiting: 1000, patience: Duration::from_secs(60) };
        let told = Arc::new(Mutex::new(Vec::new()));
        let hear = told.clone();
        config.on_first_admin = Some(Arc::new(move |admin| hear.lock().unwrap().push(admin)));
        Self { bed, config, told, _directory: directory }
    }

    /// Starts the service and waits until it is ready.
    pub async fn start(&self) -> TestApp {
        let app = self.begin().await;
        app.ready().await;
        app
    }

    /// Starts the service and does not wait.
    pub async fn begin(&self) -> TestApp {
        let running = viscount_identity::start(self.config.clone(), self.bed.platform()).await.unwrap();
        TestApp {
            base: format!("http://{}", running.addr()),
            client: Client::new(),
            keys_dir: self.config.keys_dir.clone(),
            running,
        }
    }

    /// What has been published so far.
    pub async fn events(&self, count: usize) -> Vec<Arc<Envelope>> {
        let mut reader = self.bed.follow(Topic::Identity).await;
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(reader.next(100).await.unwrap());
        }
        events
    }

    pub async fn head(&self) -> i64 {
        self.bed.head(Topic::Identity).await
    }
}

/// A running service.
pub struct TestApp {
    pub base: String,
    pub client: Client,
    pub keys_dir: PathBuf,
    pub running: Running,
}

impl TestApp {
    /// A site and its service.
    pub async fn start() -> (Site, Self) {
        let site = Site::new().await;
        let app = site.start().await;
        (site, app)
    }

    pub async fn ready(&self) {
        eventually(|| async { (self.get("/readyz", None).await.status == 200).then_some(()) }).await;
    }

    pub async fn stop(self) {
        self.running.drain(Duration::from_secs(9)).await;
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.client.get(self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Answer::of(request).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.client.post(self.url(path)).json(body)).await
    }

    pub async fn form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.client.post(self.url(path)).form(form)).await
    }

    pub async fn raw(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
        Answer::of(self.client.post(self.url(path)).header("content-type", kind).body(body)).await
    }

    pub async fn register(&self, email: &str) -> Answer {
        self.post("/v1/users", &json!({ "email": email, "password": PASSWORD, "name": "Ada" })).await
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.post("/v1/auth/login", &json!({ "email": email, "password": password })).await
    }

    /// Registers and logs in.
    pub async fn session(&self, email: &str) -> Answer {
        self.register(email).await.expect(201);
        self.log_in(email, PASSWORD).await.expect(200)
    }

    pub async fn me(&self, token: &str) -> Answer {
        self.get("/v1/users/me", Some(token)).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.form("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    pub async fn revoke(&self, token: &str) -> Answer {
        self.form("/oauth2/revoke", &[("token", token)]).await
    }

    pub async fn client_token(&self, id: &str, secret: &str) -> Answer {
        let request = self.client.post(self.url("/oauth2/token")).basic_auth(id, Some(secret));
        Answer::of(request.form(&[("grant_type", "client_credentials")])).await
    }

    pub async fn rotate(&self, token: &str, query: &str) -> Answer {
        Answer::of(self.client.post(self.url(&format!("/v1/ops/keys/rotate{query}"))).bearer_auth(token))
            .await
    }

    pub async fn jwks(&self) -> Answer {
        self.get("/.well-known/jwks.json", None).await.expect(200)
    }

    /// What another service believes of a token, with the keys that are public now.
    pub async fn believed(&self, token: &str) -> Option<Arc<Principal>> {
        let keys = serde_json::from_value(self.jwks().await.body).unwrap();
        let (issuer, audience) = (ISSUER.into(), AUDIENCE.into());
        Verifier::new(AuthConfig { issuer, audience, jwks: JwksSource::Static(keys) }).verify(token).ok()
    }

    /// A token as `viscount token` signs it: with the keys in the directory, without asking the service.
    pub fn signed(&self, role: Role) -> String {
        let now = jiff::Timestamp::now().as_second();
        let claims = Claims {
            sub: UserId::new(),
            roles: role.into(),
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            exp: now + 300,
            iat: now,
            jti: None,
        };
        KeyRing::open_or_create(&self.keys_dir).unwrap().sign(&claims).unwrap()
    }
}
