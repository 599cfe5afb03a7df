//! Takes spans to the collector, on a thread of its own.
//!
//! Whoever ends a span puts it into a queue that has a bound and never waits: what finds no room is dropped and counted.
//! A collector that is away, slow or refuses for the moment is asked again for a short while; then the batch is dropped
//! and counted, too. So the platform works at its own speed, whatever becomes of its traces.

use std::sync::mpsc as sync;
use std::thread;
use std::time::Duration;

use metrics::{Counter, counter};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::otlp::{self, Source};
use super::span::Record;
use super::traces::{self, TracesConfig};
use crate::metrics::{TRACES_DROPPED_TOTAL, TRACES_EXPORTED_TOTAL};
use crate::seldom::Seldom;

/// Spans that may wait, about half a kilobyte each.
const QUEUE: usize = 8_192;
/// Spans in one request.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// How often a batch is sent at most, and how long it is tried in all.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(15);
/// The first pause between two tries; doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that a collector can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last traces.
const FAREWELL: Duration = Duration::from_secs(3);
/// An answer is a few bytes. What is longer is not read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Where ended spans are put.
pub(super) struct Queue {
    spans: mpsc::Sender<Record>,
    full: Counter,
}

impl Queue {
    /// Never waits.
    pub fn put(&self, span: Record) {
        if self.spans.try_send(span).is_err() {
            self.full.increment(1);
        }
    }
}

/// The exporter's handle. Dropped, it sends what is waiting, for a short while.
pub(super) struct Exporter {
    flush: mpsc::Sender<sync::Sender<()>>,
}

impl Exporter {
    /// Starts the thread.
    pub fn start(config: TracesConfig) -> Result<(Self, Queue), String> {
        let post = Post::new(&config)?;
        let source = Source { service: config.service, instance: uuid::Uuid::new_v4().to_string() };
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let (spans, waiting) = mpsc::channel(QUEUE);
        let (flush, flushes) = mpsc::channel(4);
        thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || runtime.block_on(run(post, source, waiting, flushes)))
            .map_err(|error| error.to_string())?;
        let full = counter!(TRACES_DROPPED_TOTAL, "reason" => "queue_full");
        // Shown from the beginning: that nothing was dropped is news, too.
        full.increment(0);
        counter!(TRACES_EXPORTED_TOTAL).increment(0);
        Ok((Exporter { flush }, Queue { spans, full }))
    }

    /// Sends what is waiting now. Gives up after a few seconds.
    pub fn flush(&self) {
        let (done, flushed) = sync::channel();
        if self.flush.try_send(done).is_ok() && flushed.recv_timeout(FAREWELL).is_err() {
            tracing::warn!("traces could not be flushed in time");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        traces::cease();
        self.flush();
    }
}

async fn run(
    mut post: Post,
    source: Source,
    mut waiting: mpsc::Receiver<Record>,
    mut flushes: mpsc::Receiver<sync::Sender<()>>,
) {
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        let flushed = tokio::select! {
            flushed = flushes.recv() => Some(flushed),
            () = gather(&mut waiting, &mut batch) => None,
        };
        if !batch.is_empty() {
            post.send(&source, std::mem::take(&mut batch)).await;
        }
        match flushed {
            None => {}
            Some(Some(done)) => {
                while waiting.recv_many(&mut batch, BATCH.min(waiting.len())).await > 0 {
                    post.send(&source, std::mem::take(&mut batch)).await;
                }
                // Whoever asked may have given up.
                let _ = done.send(());
            }
            Some(None) => return,
        }
    }
}

/// Fills a batch: at once when there is enough, else after a short while. Dropped half-way, it loses nothing.
async fn gather(waiting: &mut mpsc::Receiver<Record>, batch: &mut Vec<Record>) {
    if waiting.recv_many(batch, BATCH).await == 0 {
        return std::future::pending().await;
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match timeout_at(until, waiting.recv_many(batch, room)).await {
            Ok(more) if more > 0 => {}
            _ => return,
        }
    }
}

/// The way to the collector.
struct Post {
    http: Client,
    url: Url,
    seldom: Seldom,
}

/// Why a batch was not taken.
struct Refused {
    reason: &'static str,
    /// Asking again may help, after this pause when the collector names one.
    again: Option<Option<Duration>>,
}

impl Post {
    fn new(config: &TracesConfig) -> Result<Self, String> {
        let url = format!("{}/v1/traces", config.endpoint.trim_end_matches('/'));
        let url: Url =
            url.parse().map_err(|_| "is not an address such as http://localhost:4318".to_owned())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("is not an http or https address".to_owned());
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        for (name, value) in &config.headers {
            let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            // The value may be a secret.
            let (name, value) = header.ok_or("the headers for it are not HTTP headers")?;
            headers.insert(name, value);
        }
        let mut http = Client::builder();
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy that the environment names has no business with this machine's own address.
            http = http.no_proxy();
        }
        let http = http
            .default_headers(headers)
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(Duration::from_secs(3)))
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Post { http, url, seldom: Seldom::default() })
    }

    /// Sends a batch, again where that may help.
    async fn send(&mut self, source: &Source, batch: Vec<Record>) {
        let count = batch.len() as u64;
        let body = bytes::Bytes::from(otlp::request(source, batch).encode_to_vec());
        let began = Instant::now();
        let mut pause = PAUSE;
        for attempt in 1.. {
            let refused = match self.once(body.clone()).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    counter!(TRACES_EXPORTED_TOTAL).increment(count - rejected);
                    if rejected > 0 {
                        self.dropped("rejected", rejected);
                    }
                    return;
                }
                Err(refused) => refused,
            };
            let wait = match refused.again {
                Some(asked) => {
                    asked.unwrap_or_else(|| pause.mul_f64(rand::random_range(0.5..1.5))).min(LONGEST_PAUSE)
                }
                None => return self.dropped(refused.reason, count),
            };
            if attempt >= TRIES || began.elapsed() + wait > PATIENCE {
                return self.dropped(refused.reason, count);
            }
            sleep(wait).await;
            pause *= 2;
        }
    }

    /// How many spans of it the collector did not want.
    async fn once(&self, body: bytes::Bytes) -> Result<u64, Refused> {
        let answer = self.http.post(self.url.clone()).body(body).send().await.map_err(|error| Refused {
            reason: if error.is_timeout() { "timeout" } else { "unreachable" },
            again: Some(None),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(rejected(answer).await);
        }
        let may_help = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        Err(match may_help.contains(&status) {
            true => Refused { reason: "overloaded", again: Some(retry_after(&answer)) },
            false => Refused { reason: "refused", again: None },
        })
    }

    fn dropped(&mut self, reason: &'static str, spans: u64) {
        counter!(TRACES_DROPPED_TOTAL, "reason" => reason).increment(spans);
        if self.seldom.is_due() {
            tracing::warn!(reason, spans, "traces are dropped");
        }
    }
}

async fn rejected(answer: Response) -> u64 {
    if answer.content_length().is_none_or(|length| length > LONGEST_ANSWER) {
        return 0;
    }
    let body = answer.bytes().await.unwrap_or_default();
    let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

/// Seconds; the other form, a date, is not worth a parser here.
fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
