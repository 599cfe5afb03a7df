//! The metrics recorder of the process, and its exposition for Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::warn;

use crate::metrics::{BUILD_INFO, Metric};

/// Seconds: half a millisecond to half a minute.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Everything else that has a distribution is a number of things: batch sizes, queue lengths.
const COUNTS: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// How often histograms are drained; between two scrapes they would otherwise grow with every observation.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder, once per process; further calls do nothing. Call it before the first metric is touched:
/// a handle taken earlier counts into the void for ever.
pub fn install() {
    RECORDER.get_or_init(|| match build() {
        Ok(handle) => {
            [crate::metrics::ACTORS, crate::metrics::ALL].concat().iter().for_each(Metric::describe);
            Some(handle)
        }
        Err(problem) => {
            // Somebody else's recorder is there, as in a test. Ours then shows nothing, and nothing breaks.
            warn!(problem, "metrics recorder not installed");
            None
        }
    });
}

/// A service begins to measure: shows which version of it runs, and tells what its own metrics mean. What all services
/// have is told by [`install`].
pub fn begin(service: &'static str, own: &[Metric]) {
    install();
    own.iter().for_each(Metric::describe);
    gauge!(BUILD_INFO, "service" => service, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// The metrics of this process in the Prometheus text format.
pub fn render() -> String {
    install();
    let mut text = RECORDER.get().and_then(Option::as_ref).map(PrometheusHandle::render).unwrap_or_default();
    super::process::render(&mut text);
    text
}

/// The header field that says which process an exposition is of. Services may share one, and behind a gateway it may be
/// another replica that answers next: whoever takes rates needs to know whose numbers they are.
pub const PROCESS_ID: &str = "process-id";

/// What stands in [`PROCESS_ID`]: made anew by each start.
pub fn process_id() -> uuid::Uuid {
    super::process::id()
}

/// The media type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

fn build() -> Result<PrometheusHandle, String> {
    // Without buckets the exporter would make summaries, which cannot be added up over instances.
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets(COUNTS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| error.to_string())?;
    let upkeep = handle.clone();
    // A thread of its own: it must go on whatever becomes of any service's runtime in this process.
    std::thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                std::thread::park_timeout(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .map_err(|error| error.to_string())?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_buckets_and_the_process() {
        install();
        metrics::histogram!("some_work_seconds").record(0.003);
        metrics::histogram!("some_batch_size").record(17.0);
        let text = render();
        assert!(text.contains("some_work_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("some_batch_size_bucket{le=\"32\"} 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("process_cpu_seconds_total "), "{text}");
    }
}
