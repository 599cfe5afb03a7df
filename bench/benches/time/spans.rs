//! What a span costs whoever makes it, with eight attributes: when its trace is not sampled, and when it is, up to the
//! queue. What the exporter's thread does with it afterwards is not measured, and is waited for.

use std::{
    hint::black_box,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use criterion::Criterion;
use viscount_chassis::telemetry::{Span, SpanKind, TelemetryConfig, TraceContext, TracesConfig, init};

/// Spans between two waits: the queue has room for twice as many.
const AT_ONCE: u64 = 4_096;

/// Last of all, since from then on this process exports its traces.
pub fn spans(criterion: &mut Criterion) {
    let mut none = criterion.benchmark_group("span");
    none.bench_function("nothing exported", |bencher| bencher.iter(|| one(None)));
    let config = TelemetryConfig {
        filter: "off".to_owned(),
        traces: Some(TracesConfig::to(collector())),
        ..TelemetryConfig::default()
    };
    let telemetry = init(config).unwrap();
    for (name, flag) in [("recorded", "00"), ("sampled", "01")] {
        let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flag}");
        let parent = TraceContext::parse(&parent);
        none.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for begin in (0..times).step_by(AT_ONCE as usize) {
                    let began = Instant::now();
                    (begin..times.min(begin + AT_ONCE)).for_each(|_| one(parent));
                    took += began.elapsed();
                    telemetry.flush();
                }
                took
            });
        });
    }
}

fn one(parent: Option<TraceContext>) {
    let mut span = Span::after("orders", SpanKind::Server, "POST /v1/orders", parent);
    span.set("http.request.method", "POST");
    span.set("url.scheme", "http");
    span.set("http.route", "/v1/orders");
    span.set("server.address", "orders");
    span.set("http.response.status_code", 201_u16);
    span.set("messaging.batch.message_count", 3_usize);
    span.set("viscount.log.position", 17_i64);
    if !span.is_none() {
        span.set("viscount.event.key", "0198c0de-7f00-7a00-8000-000000000001".to_owned());
    }
    black_box(&span);
}

/// Takes whatever it is sent.
fn collector() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || while take(&stream).is_some() {});
        }
    });
    url
}

fn take(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).ok()? > 0 && line.trim() != "" {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).ok().filter(|()| length > 0)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}
