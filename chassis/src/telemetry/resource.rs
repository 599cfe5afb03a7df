//! Whose spans these are.
//!
//! The SDK knows one resource for a process. Here several services may share one, each with its own `service.name`: so
//! each span says its service in its first attribute, and the exporter moves it to where it belongs.

use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

/// The attribute of the service.
pub(super) const SERVICE: &str = "service.name";

/// What is the same for all services of this process: what `OTEL_RESOURCE_ATTRIBUTES` says, and which replica it is.
pub(super) fn of_process() -> Resource {
    Resource::builder()
        .with_attributes([
            KeyValue::new("service.namespace", "first-viscount"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ])
        .build()
}

/// The same, for one service.
pub(super) fn of_service(process: &Resource, service: StringValue) -> Resource {
    let all = process.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty().with_attributes(all).with_service_name(service).build()
}

/// Spans by their services; all under one name where there is one for the whole process.
pub(super) fn by_service(
    spans: Vec<SpanData>,
    whole: Option<&StringValue>,
) -> Vec<(StringValue, Vec<SpanData>)> {
    let mut services: Vec<(StringValue, Vec<SpanData>)> = Vec::new();
    for mut span in spans {
        let own = (!span.attributes.is_empty()).then(|| span.attributes.remove(0).value);
        let service = match (whole, own) {
            (Some(whole), _) => whole.clone(),
            (None, Some(Value::String(own))) => own,
            _ => "unknown_service".into(),
        };
        match services.iter_mut().find(|(known, _)| *known == service) {
            Some((_, spans)) => spans.push(span),
            None => services.push((service, vec![span])),
        }
    }
    services
}
