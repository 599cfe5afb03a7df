//! Spans as OTLP's protobuf messages.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{self as proto, ResourceSpans, ScopeSpans, span, status};

use super::context::TraceContext;
use super::span::{Record, SpanKind, Value};

/// Whose spans these are.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// `service.name` for all of them; none: each service's own name.
    pub service: Option<String>,
    /// Tells replicas from each other.
    pub instance: String,
}

/// One request to the collector, the spans sorted by their services.
pub(super) fn request(source: &Source, spans: Vec<Record>) -> ExportTraceServiceRequest {
    let mut services: Vec<(&'static str, Vec<proto::Span>)> = Vec::new();
    for record in spans {
        let service = if source.service.is_some() { "" } else { record.service };
        match services.iter_mut().find(|(known, _)| *known == service) {
            Some((_, spans)) => spans.push(span(record)),
            None => services.push((service, vec![span(record)])),
        }
    }
    let scope = InstrumentationScope {
        name: "viscount".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let resource_spans = services
        .into_iter()
        .map(|(service, spans)| ResourceSpans {
            resource: Some(resource(source, service)),
            scope_spans: vec![ScopeSpans { scope: Some(scope.clone()), spans, schema_url: String::new() }],
            schema_url: String::new(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn resource(source: &Source, service: &str) -> Resource {
    let attributes = [
        ("service.name", source.service.as_deref().unwrap_or(service)),
        ("service.namespace", "first-viscount"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &source.instance),
    ];
    let attributes = attributes.map(|(name, value)| attribute(name, Value::from(value.to_owned())));
    Resource { attributes: attributes.into(), ..Resource::default() }
}

fn span(record: Record) -> proto::Span {
    let (trace_id, span_id) = ids(record.context);
    let kind = match record.kind {
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Client => span::SpanKind::Client,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
    };
    let link = |to: TraceContext| {
        let (trace_id, span_id) = ids(to);
        span::Link { trace_id, span_id, flags: to.is_sampled().into(), ..span::Link::default() }
    };
    let status = proto::Status { message: String::new(), code: status::StatusCode::Error.into() };
    proto::Span {
        trace_id,
        span_id,
        parent_span_id: record.parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        flags: record.context.is_sampled().into(),
        name: record.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: record.began,
        end_time_unix_nano: record.ended,
        attributes: record.attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
        links: record.links.into_iter().map(link).collect(),
        dropped_links_count: record.links_dropped,
        status: record.failed.then_some(status),
        ..proto::Span::default()
    }
}

fn ids(context: TraceContext) -> (Vec<u8>, Vec<u8>) {
    let (trace_id, span_id) = context.raw();
    (trace_id.to_be_bytes().to_vec(), span_id.to_be_bytes().to_vec())
}

fn attribute(name: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.into_owned()),
        Value::Number(number) => any_value::Value::IntValue(number),
        Value::Flag(flag) => any_value::Value::BoolValue(flag),
    };
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
