//! What leaves a process that keeps no traces: failures, with what was open around them. A binary of its own: a process
//! exports to one collector.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as Sent};
use prost::Message;
use viscount_chassis::telemetry::{
    Sampler, Span, SpanKind, TelemetryConfig, TraceContext, TracesConfig, current_trace, current_traceparent,
    in_context, in_trace, init,
};

/// An OTLP collector that hands over what it is sent: spans, each with the service that it belongs to.
fn collector() -> (String, mpsc::Receiver<Vec<(String, Sent)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap()];
            stream.read_exact(&mut body).unwrap();
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            sender.send(request.resource_spans.into_iter().flat_map(spans).collect()).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    (url, receiver)
}

fn spans(of: ResourceSpans) -> Vec<(String, Sent)> {
    let attributes = of.resource.unwrap().attributes;
    let name = attributes.into_iter().find(|attribute| attribute.key == "service.name").unwrap();
    let Some(AnyValue { value: Some(Value::StringValue(service)) }) = name.value else { panic!("no name") };
    let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| (service.clone(), span)).collect()
}

#[tokio::test]
async fn a_failure_leaves_with_what_was_open_around_it() {
    let (endpoint, collected) = collector();
    let sampler = Sampler::named(Some("parentbased_always_off"), None).unwrap();
    let telemetry = init(TelemetryConfig {
        filter: "warn".to_owned(),
        traces: Some(TracesConfig { sampler, ..TracesConfig::to(endpoint) }),
        ..TelemetryConfig::default()
    })
    .unwrap();

    // All is well: nothing is told.
    let well = Span::child("shop", SpanKind::Server, "all is well");
    drop(Span::after("shop", SpanKind::Client, "inside", well.context()));
    drop(well);

    // A request; what ended in it before; and a failure in another task, which knows the trace by its header alone.
    let request = Span::child("shop", SpanKind::Server, "request");
    let header = in_context(request.context().unwrap(), async { current_traceparent() }).await.unwrap();
    assert!(header.ends_with("-00"), "not sampled: {header}");
    drop(Span::after("shop", SpanKind::Client, "before", request.context()));
    let other = tokio::spawn(in_trace(Some(header.as_str()), async {
        let work = Span::child("stock", SpanKind::Consumer, "work");
        let mut call = Span::after("stock", SpanKind::Client, "call", work.context());
        call.fail("timeout");
    }));
    other.await.unwrap();
    let trace = request.context().unwrap();
    drop(request);

    // Many in one batch, one of which somebody wants to see: the batch is kept, with as many links as are allowed.
    let kept = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    let many = (0..200).map(|_| trace).chain([kept]);
    drop(Span::for_many("shop", SpanKind::Client, "batch", many));
    drop(Span::for_many("shop", SpanKind::Client, "batch of nobody", [trace].into_iter()));
    drop(Span::after("shop", SpanKind::Server, "wanted", Some(kept)));

    // A trace that log lines have named before it has a span keeps its id.
    let named = in_trace(None, async {
        (current_trace(), Span::child("shop", SpanKind::Internal, "first").context())
    });
    let (named, first) = named.await;
    assert_eq!(first.unwrap().trace_id(), named.unwrap().trace_id());
    let anew = in_trace(None, async {
        (current_trace(), Span::after("shop", SpanKind::Internal, "anew", None).context())
    });
    let (named, anew) = anew.await;
    assert_ne!(anew.unwrap().trace_id(), named.unwrap().trace_id());

    telemetry.flush();
    let mut sent: Vec<(String, Sent)> = collected.recv_timeout(Duration::from_secs(20)).unwrap();
    sent.extend(collected.try_iter().flatten());
    let mut names: Vec<_> = sent.iter().map(|(_, span)| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["batch", "call", "request", "wanted", "work"]);
    let find = |name: &str| &sent.iter().find(|(_, span)| span.name == name).unwrap().1;
    let services: Vec<_> = ["request", "call"]
        .iter()
        .map(|name| sent.iter().find(|(_, span)| span.name == *name).unwrap().0.as_str())
        .collect();
    assert_eq!(services, ["shop", "stock"], "each is its service's");
    assert!(sent.iter().all(|(_, span)| span.attributes.iter().all(|it| it.key != "service.name")));
    // Who looks at what is kept sees it as sampled, and which parents were known by a header alone (OTLP's SpanFlags).
    let flags = ["call", "work", "wanted"].map(|name| find(name).flags);
    assert_eq!(flags, [0x101, 0x301, 0x301]);
    assert_eq!(find("call").parent_span_id, find("work").span_id);
    assert_eq!(find("work").parent_span_id, find("request").span_id);
    assert_eq!(find("call").status.as_ref().unwrap().code, 2);
    assert_eq!(find("request").status.as_ref().map_or(0, |status| status.code), 0, "not set");
    assert_eq!(find("wanted").trace_id, 0x4bf92f3577b34da6a3ce929d0e0e4736_u128.to_be_bytes());
    let batch = find("batch");
    assert_eq!((batch.links.len(), batch.dropped_links_count), (128, 73));
    drop(telemetry);
    assert!(Span::child("shop", SpanKind::Internal, "late").is_none(), "nothing is begun any more");
}
