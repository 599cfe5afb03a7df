//! An OTLP collector in the test's process: takes protobuf over HTTP, as the platform sends it, and keeps the spans.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{self as proto, span::SpanKind},
};
use prost::Message;

/// A span as the tests look at it. Ids are hex.
#[derive(Debug, Clone)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub kind: SpanKind,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub attributes: HashMap<String, String>,
    /// Traces and spans.
    pub links: Vec<(String, String)>,
    pub failed: bool,
}

#[derive(Clone)]
pub struct Collector {
    pub url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::new(Mutex::new(Vec::new()));
        let collector = Self { url, spans: spans.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let spans = spans.clone();
                thread::spawn(move || while take(&stream, &spans).is_some() {});
            }
        });
        collector
    }

    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    pub fn of(&self, trace: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace == trace).collect()
    }
}

/// Takes one request; `None` when the connection has ended.
fn take(mut stream: &TcpStream, spans: &Mutex<Vec<Span>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 0 && line.trim() != "" {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok().filter(|()| length > 0)?;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    spans.lock().unwrap().extend(request.resource_spans.into_iter().flat_map(|of| {
        let resource = of.resource.unwrap();
        let service = words(resource.attributes)["service.name"].clone();
        let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.map(|span| read(&service, span)).collect::<Vec<_>>()
    }));
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn read(service: &str, span: proto::Span) -> Span {
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
    Span {
        service: service.to_owned(),
        kind: span.kind(),
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: words(span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        failed: span.status.is_some_and(|status| status.code == 2),
    }
}

fn words(attributes: Vec<KeyValue>) -> HashMap<String, String> {
    let word = |value: Option<Value>| match value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, word(pair.value.unwrap().value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
