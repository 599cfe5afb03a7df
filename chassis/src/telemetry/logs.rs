//! Log lines. The JSON ones are flat: time, level, target, message, trace id, then the event's fields and those of the
//! spans around it.

use std::fmt;
use std::fs::OpenOptions;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::{LogFormat, LogOutput, TelemetryError, context};

/// The layer that writes lines.
pub(super) fn layer<S>(
    format: LogFormat,
    output: LogOutput,
) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let to_file = matches!(output, LogOutput::File(_));
    let writer = match output {
        LogOutput::Stdout => BoxMakeWriter::new(std::io::stdout),
        LogOutput::Stderr => BoxMakeWriter::new(std::io::stderr),
        LogOutput::File(path) => {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            BoxMakeWriter::new(Arc::new(file.map_err(|error| TelemetryError::LogFile(path, error))?))
        }
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(match format {
        LogFormat::Json => layer.fmt_fields(JsonFields::new()).event_format(JsonLines).boxed(),
        LogFormat::Pretty => layer.compact().with_target(false).with_ansi(!to_file && colours()).boxed(),
    })
}

/// <https://no-color.org>
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        if let Some(scope) = ctx.event_scope() {
            for span in scope.from_root() {
                let extensions = span.extensions();
                let text = extensions.get::<FormattedFields<N>>();
                if let Some(Ok(Value::Object(known))) = text.map(|text| serde_json::from_str(text)) {
                    fields.0.extend(known);
                }
            }
        }
        event.record(&mut fields);
        let line = Line {
            time: jiff::Timestamp::now(),
            level: event.metadata().level().as_str(),
            target: event.metadata().target(),
            message: fields.0.remove("message"),
            trace_id: context::current_trace().map(context::TraceContext::trace_id),
            fields: fields.0,
        };
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    time: jiff::Timestamp,
    level: &'a str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // The line's own members keep their names.
        let name = match field.name() {
            name @ ("time" | "level" | "target" | "trace_id") => format!("field_{name}"),
            name => name.to_owned(),
        };
        self.0.insert(name, value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::io::Write;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Memory {
        type Writer = Memory;

        fn make_writer(&'a self) -> Memory {
            self.clone()
        }
    }

    fn lines(work: impl FnOnce()) -> Vec<BTreeMap<String, Value>> {
        let memory = Memory::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(memory.clone())
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = memory.0.lock().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_flat_object() {
        let lines = lines(|| {
            let span = tracing::info_span!("batch", topic = "orders");
            let _entered = span.enter();
            tracing::info!(count = 3u64, level = "mine", "two\nlines \"quoted\"");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "two\nlines \"quoted\"");
        assert_eq!(line["count"], 3);
        assert_eq!(line["topic"], "orders");
        assert_eq!(line["field_level"], "mine");
        assert!(!line.contains_key("trace_id"));
    }

    #[tokio::test]
    async fn a_line_names_its_trace() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let lines = super::super::in_trace(Some(parent), async { lines(|| tracing::warn!("hello")) }).await;
        assert_eq!(lines[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}
