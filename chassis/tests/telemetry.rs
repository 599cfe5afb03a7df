//! Logs and traces of a whole process, as they leave it. A binary of its own: a process has one subscriber.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_web::web;
use serde_json::Value;
use utoipa::openapi::OpenApi;
use viscount_actors::{Intensity, Supervisor};
use viscount_chassis::auth::testing::TestIssuer;
use viscount_chassis::http::{Health, HttpSpec, current_traceparent, serve};
use viscount_chassis::telemetry::{LogFormat, LogOutput, TelemetryConfig, TracesConfig, init};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// An OTLP collector that hands over what it is sent.
fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = sender.send(receive(stream.unwrap()));
        }
    });
    (url, receiver)
}

fn receive(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (head, body)
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[actix_web::test]
async fn a_request_leaves_a_span_and_lines_that_name_its_trace() {
    let (endpoint, collected) = collector();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.json");
    let telemetry = init(TelemetryConfig {
        format: LogFormat::Json,
        output: LogOutput::File(log.clone()),
        filter: "info".to_owned(),
        traces: Some(TracesConfig::to(endpoint)),
    })
    .unwrap();
    assert!(init(TelemetryConfig::default()).is_err(), "twice");

    let spec = HttpSpec {
        service: "traced",
        host: "127.0.0.1".to_owned(),
        port: 0,
        port_variable: "PORT",
        workers: 1,
        verifier: TestIssuer::new().verifier(),
        health: Health::new(),
        openapi: OpenApi::default(),
        supervisor: Supervisor::root("traced", Intensity::default(), |_| {}),
        dead_letters: None,
        body_limit: HttpSpec::BODY_LIMIT,
        deadline: HttpSpec::DEADLINE,
    };
    let http = serve(spec, |app| {
        app.route(
            "/v1/shout/{word}",
            web::get().to(|| async {
                tracing::warn!(loud = true, "shouting");
                current_traceparent().unwrap_or_default()
            }),
        );
    })
    .unwrap();
    let answer = reqwest::Client::new()
        .get(format!("http://{}/v1/shout/secret-word", http.addr()))
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .header("x-request-id", "request-7")
        .send()
        .await
        .unwrap();
    let within = answer.text().await.unwrap();
    assert_eq!(&within[3..35], TRACE);
    let metrics = reqwest::Client::new().get(format!("http://{}/metrics", http.addr()));
    let metrics = metrics.header("accept", "application/openmetrics-text").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let noted = metrics.lines().any(|line| {
        line.starts_with("http_request_seconds_bucket{service=\"traced\",route=\"/v1/shout/{word}\"")
            && line.contains(&format!(" # {{trace_id=\"{TRACE}\"}} "))
    });
    assert!(noted, "an exemplar leads to the trace: {metrics}");
    http.stop(Duration::from_secs(5)).await;
    telemetry.flush();

    let (head, spans) = collected.recv_timeout(Duration::from_secs(20)).expect("spans were sent");
    assert!(head.starts_with("post /v1/traces "), "{head}");
    let raw = |hex: &str| {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect::<Vec<_>>()
    };
    assert!(holds(&spans, &raw(TRACE)), "in the caller's trace");
    assert!(holds(&spans, &raw("00f067aa0ba902b7")), "under the caller's span");
    assert!(
        holds(&spans, &raw(&within[36..52])),
        "the span that the handler was in is the one that was sent"
    );
    let shown = String::from_utf8_lossy(&spans);
    assert!(shown.contains("GET /v1/shout/{word}") && shown.contains("traced"), "{shown}");

    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |message: &str| {
        lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{text}"))
    };
    let shout = find("shouting");
    assert_eq!((shout["trace_id"].as_str(), shout["level"].as_str()), (Some(TRACE), Some("WARN")));
    assert_eq!(shout["loud"], true);
    let access = find("request");
    assert_eq!(access["trace_id"], TRACE);
    assert_eq!(access["target"], "access");
    assert_eq!(access["route"], "/v1/shout/{word}");
    assert_eq!(access["status"], 200);
    assert_eq!(access["request_id"], "request-7");
    assert!(access["millis"].as_f64().unwrap() > 0.0);
    drop(telemetry);
}
