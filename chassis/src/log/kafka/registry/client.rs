//! The registry's HTTP interface, as Confluent documents it: the six questions that we ask.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use reqwest::{Method, StatusCode, Url, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{RegistryConfig, RegistryError};

/// How long a connection, and a whole answer, may take.
const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(3);
/// The largest answer that is read: no schema comes near.
const LARGEST: usize = 1 << 20;
/// How much of what a registry says is repeated.
const WORDS: usize = 500;
/// What is asked in and answered in.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A schema that another one imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The name in the import statement.
    pub(super) name: String,
    /// Where it is registered.
    pub(super) subject: String,
    pub(super) version: i32,
}

/// Where a schema is registered.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Registered {
    pub(super) id: u32,
    pub(super) version: i32,
}

/// One use of a schema.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Version {
    pub(super) subject: String,
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

#[derive(Deserialize)]
struct Text {
    schema: String,
    /// Absent means Avro.
    #[serde(rename = "schemaType", default)]
    kind: String,
}

#[derive(Deserialize)]
struct Level {
    // Confluent's registry answers a change with the other name.
    #[serde(rename = "compatibilityLevel", alias = "compatibility")]
    level: String,
}

/// Asks whichever of the registry's addresses answers.
pub(super) struct Client {
    http: reqwest::Client,
    config: RegistryConfig,
    /// The address that answered last.
    last: AtomicUsize,
}

impl Client {
    pub(super) fn new(config: RegistryConfig) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, config, last: AtomicUsize::new(0) })
    }

    /// Where this schema is in the subject, if it is.
    pub(super) async fn lookup(
        &self,
        subject: &str,
        text: &str,
        references: &[Reference],
    ) -> Result<Option<Registered>, RegistryError> {
        self.ask(Method::POST, &["subjects", subject], Some(schema(text, references)), subject).await
    }

    /// Adds this schema to the subject, and gives its id.
    pub(super) async fn register(
        &self,
        subject: &str,
        text: &str,
        references: &[Reference],
    ) -> Result<u32, RegistryError> {
        let body = schema(text, references);
        let id: Option<Id> =
            self.ask(Method::POST, &["subjects", subject, "versions"], Some(body), subject).await?;
        id.map(|id| id.id).ok_or_else(|| not_there(subject))
    }

    /// How schemas of the subject have to fit each other, if that is set for the subject.
    pub(super) async fn level(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let level: Option<Level> = self.ask(Method::GET, &["config", subject], None, subject).await?;
        Ok(level.map(|level| level.level))
    }

    /// Sets how schemas of the subject have to fit each other.
    pub(super) async fn set_level(&self, subject: &str, level: &str) -> Result<(), RegistryError> {
        let body = json!({ "compatibility": level });
        let set: Option<Value> = self.ask(Method::PUT, &["config", subject], Some(body), subject).await?;
        set.map(drop).ok_or_else(|| not_there(subject))
    }

    /// A protobuf schema's text; `None` when there is no such id, empty for a schema of another kind.
    pub(super) async fn text(&self, id: u32) -> Result<Option<String>, RegistryError> {
        let (id, what) = (id.to_string(), format!("schema {id}"));
        let text: Option<Text> = self.ask(Method::GET, &["schemas", "ids", &id], None, &what).await?;
        Ok(text.map(|text| if text.kind == "PROTOBUF" { text.schema } else { String::new() }))
    }

    /// The subjects in which a schema is.
    pub(super) async fn subjects(&self, id: u32) -> Result<Vec<String>, RegistryError> {
        let (id, what) = (id.to_string(), format!("schema {id}"));
        let path = ["schemas", "ids", id.as_str(), "versions"];
        let versions: Option<Vec<Version>> = self.ask(Method::GET, &path, None, &what).await?;
        Ok(versions.unwrap_or_default().into_iter().map(|version| version.subject).collect())
    }

    /// Asks one address after the other, beginning with the one that answered last. `None` is a 404.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
        subject: &str,
    ) -> Result<Option<T>, RegistryError> {
        let (urls, first) = (&self.config.urls, self.last.load(Ordering::Relaxed));
        let mut outcome = Err(RegistryError::Unavailable("it has no address".to_owned()));
        for nth in (0..urls.len()).map(|nth| (first + nth) % urls.len()) {
            outcome = self.ask_at(&urls[nth], &method, path, body.as_ref(), subject).await;
            if !matches!(outcome, Err(RegistryError::Unavailable(_))) {
                self.last.store(nth, Ordering::Relaxed);
                break;
            }
        }
        outcome
    }

    async fn ask_at<T: DeserializeOwned>(
        &self,
        url: &Url,
        method: &Method,
        path: &[&str],
        body: Option<&Value>,
        subject: &str,
    ) -> Result<Option<T>, RegistryError> {
        let mut url = url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.http.request(method.clone(), url).header("accept", MEDIA_TYPE);
        if let Some((user, password)) = &self.config.credentials {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.header("content-type", MEDIA_TYPE).body(body.to_string());
        }
        let away = |error: reqwest::Error| RegistryError::Unavailable(causes(&error.without_url()));
        let mut answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(RegistryError::Unavailable("its answer is larger than any schema".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                RegistryError::Unavailable(format!("its answer is not understood: {error}"))
            }),
            // Whoever is asked again may say something else; so may whoever was told to let us in.
            status
                if status.is_server_error()
                    || matches!(status.as_u16(), 300..=399 | 401 | 403 | 408 | 429) =>
            {
                Err(RegistryError::Unavailable(format!("status {status}")))
            }
            status => Err(RegistryError::Refused {
                subject: subject.to_owned(),
                status: status.as_u16(),
                reason: words(&bytes),
            }),
        }
    }
}

fn schema(text: &str, references: &[Reference]) -> Value {
    let references: Vec<Value> = references
        .iter()
        .map(|reference| {
            json!({ "name": reference.name, "subject": reference.subject, "version": reference.version })
        })
        .collect();
    json!({ "schemaType": "PROTOBUF", "schema": text, "references": references })
}

fn not_there(subject: &str) -> RegistryError {
    RegistryError::Refused { subject: subject.to_owned(), status: 404, reason: "not found".to_owned() }
}

/// What went wrong, and why.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The registry's message, on one line and not too long.
fn words(bytes: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(bytes)
        .ok()
        .and_then(|value| value.get("message").and_then(Value::as_str).map(str::to_owned));
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::config::Env;

    /// Asks for a level, of a registry that answers so; gives what it was asked as well.
    async fn asked(status: &str, body: &str) -> (Result<Option<String>, RegistryError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let pairs = [
            ("SCHEMA_REGISTRY_URL", url.as_str()),
            ("SCHEMA_REGISTRY_USERNAME", "u"),
            ("SCHEMA_REGISTRY_PASSWORD", "hunter2"),
        ];
        let config = RegistryConfig::from_env(&Env::from_pairs(pairs)).unwrap().unwrap();
        let client = Client::new(config).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let serve = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                heard.push(connection.read_u8().await.unwrap());
            }
            // Whoever has heard enough may have gone.
            let _ = connection.write_all(answer.as_bytes()).await;
            (String::from_utf8(heard).unwrap(), connection)
        };
        let (outcome, (heard, _)) = tokio::join!(client.level("p.a/b.proto"), serve);
        (outcome, heard)
    }

    #[tokio::test]
    async fn a_subject_is_one_segment_and_the_password_goes_along() {
        let (level, heard) = asked("200 OK", r#"{"compatibilityLevel": "FULL"}"#).await;
        assert_eq!(level, Ok(Some("FULL".to_owned())));
        assert!(heard.starts_with("GET /base/config/p.a%2Fb.proto HTTP/1.1\r\n"), "{heard}");
        assert!(heard.to_lowercase().contains("authorization: basic dtpodw50zxiy"), "{heard}");
    }

    #[tokio::test]
    async fn an_answer_is_a_refusal_only_when_it_is_one() {
        assert_eq!(asked("404 Not Found", "").await.0, Ok(None));
        let too_large = "x".repeat(LARGEST + 1);
        for (status, body) in [
            ("500 Internal Server Error", ""),
            ("503 Service Unavailable", "{}"),
            ("401 Unauthorized", ""),
            ("403 Forbidden", ""),
            ("429 Too Many Requests", ""),
            ("302 Found", ""),
            ("200 OK", "<html>"),
            ("200 OK", &too_large),
        ] {
            let error = asked(status, body).await.0.unwrap_err();
            assert!(matches!(error, RegistryError::Unavailable(_)), "{status}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let refused = asked("409 Conflict", "{\"message\": \"does\\n  not fit\"}").await.0.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the schema registry refuses p.a/b.proto with status 409: does not fit"
        );
    }
}
