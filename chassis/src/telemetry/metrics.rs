//! The metrics recorder of the process, and how its metrics are told.
//!
//! One thread does all that takes time, so that no thread that serves requests does: it writes the metrics down for
//! whoever asked, all at once for all who have asked by then, and rests twenty times as long as that took. However many
//! scrape, and however often, that is a twentieth of a core; nobody is shown what was before they asked.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::{Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

pub use super::exemplars::Exemplars;
pub use super::exposition::Format;
use super::{exposition, process};
use crate::auth::AuthError;
use crate::metrics::{
    AUTH_REFUSED_TOTAL, BUILD_INFO, Closed, DISK_FREE_BYTES, DISK_SIZE_BYTES, HTTP_HANDLER_PANICS_TOTAL,
    Kind, METRICS_RENDER_SECONDS, Metric,
};

/// Seconds: half a millisecond to half a minute. The objectives are among them: 50 ms and 200 ms for answers, 5 s for
/// orders.
pub(super) const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Everything else that has a distribution is a number of things: batch sizes, queue lengths.
const COUNTS: [f64; 14] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// How often histograms are drained; between two scrapes they would otherwise grow with every observation.
const UPKEEP: Duration = Duration::from_secs(5);
/// How many may wait for the metrics.
const WAITING: usize = 256;
/// How long they wait at the most.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many times as long as a rendering took there is none, and how long at the most.
const REST: u32 = 20;
const LONGEST_REST: Duration = Duration::from_secs(3);

static RECORDER: OnceLock<Option<Recorder>> = OnceLock::new();
/// Folders whose file systems are watched, by what they are for.
static FOLDERS: Mutex<Vec<(&'static str, PathBuf)>> = Mutex::new(Vec::new());

struct Recorder {
    handle: PrometheusHandle,
    ask: SyncSender<Ask>,
}

/// Somebody who wants the metrics.
struct Ask {
    format: Format,
    reply: oneshot::Sender<Bytes>,
}

/// There are no metrics to be had at the moment: too many have asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many ask for the metrics")]
pub struct Busy;

/// Installs the recorder, once per process; further calls do nothing. Call it before the first metric is touched:
/// a handle taken earlier counts into the void for ever.
pub fn install() {
    RECORDER.get_or_init(|| match build() {
        Ok(recorder) => {
            [crate::metrics::ACTORS, crate::metrics::ALL].concat().iter().for_each(Metric::describe);
            Closed(AUTH_REFUSED_TOTAL, "reason", &AuthError::LABELS).exist();
            Some(recorder)
        }
        Err(problem) => {
            // Somebody else's recorder is there, as in a test. Ours then shows nothing, and nothing breaks.
            warn!(problem, "metrics recorder not installed");
            None
        }
    });
}

/// A service begins to measure: shows which version of it runs, and tells what its own metrics mean. What all services
/// have is told by [`install`]. Its counters without labels exist from now on, and so do those whose series are all
/// known.
pub fn begin(service: &'static str, own: &[Metric], closed: &[Closed]) {
    install();
    own.iter().for_each(Metric::describe);
    for metric in own.iter().filter(|metric| metric.kind == Kind::Counter && metric.labels.is_empty()) {
        drop(counter!(metric.name));
    }
    closed.iter().for_each(Closed::exist);
    drop(counter!(HTTP_HANDLER_PANICS_TOTAL, "service" => service));
    gauge!(BUILD_INFO, "service" => service, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// From now on shows how full the file system of this folder is, as `path_kind`.
pub fn watch_disk(path_kind: &'static str, folder: PathBuf) {
    let mut folders = FOLDERS.lock();
    folders.retain(|(kind, _)| *kind != path_kind);
    folders.push((path_kind, folder));
    show_disks(&folders);
}

/// The metrics of this process as they are now or a moment later, in the format that `accept`, a request's header,
/// prefers.
pub async fn scrape(accept: Option<&str>) -> Result<(&'static str, Bytes), Busy> {
    install();
    let format = Format::wanted(accept);
    let text = match RECORDER.get().and_then(Option::as_ref) {
        Some(recorder) => {
            let (reply, answer) = oneshot::channel();
            recorder.ask.try_send(Ask { format, reply }).map_err(|_| Busy)?;
            timeout(PATIENCE, answer).await.map_err(|_| Busy)?.map_err(|_| Busy)?
        }
        None => exposition::write(&exported(None), format).into(),
    };
    Ok((format.content_type(), text))
}

/// The metrics of this process in the Prometheus text format, at once and on this thread; for those who ask seldom.
pub fn render() -> String {
    install();
    exposition::write(
        &exported(RECORDER.get().and_then(Option::as_ref).map(|known| &known.handle)),
        Format::Text,
    )
}

fn exported(handle: Option<&PrometheusHandle>) -> String {
    let mut text = handle.map(PrometheusHandle::render).unwrap_or_default();
    process::render(&mut text);
    text
}

/// The header field that says which process an exposition is of. Services may share one, and behind a gateway it may be
/// another replica that answers next: whoever takes rates needs to know whose numbers they are.
pub const PROCESS_ID: &str = "process-id";

/// What stands in [`PROCESS_ID`]: made anew by each start.
pub fn process_id() -> uuid::Uuid {
    super::process::id()
}

fn build() -> Result<Recorder, String> {
    // Without buckets the exporter would make summaries, which cannot be added up over instances.
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| builder.set_buckets(&COUNTS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| error.to_string())?;
    let (ask, asked) = sync_channel(WAITING);
    let writer = Writer { handle: handle.clone(), cost: histogram!(METRICS_RENDER_SECONDS) };
    // A thread of its own: it must go on whatever becomes of any service's runtime in this process.
    thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || writer.run(&asked))
        .map_err(|error| error.to_string())?;
    Ok(Recorder { handle, ask })
}

/// The one who writes the metrics down.
struct Writer {
    handle: PrometheusHandle,
    cost: Histogram,
}

impl Writer {
    fn run(self, asked: &Receiver<Ask>) {
        let mut upkeep = Instant::now() + UPKEEP;
        loop {
            match asked.recv_timeout(upkeep.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    let took = self.answer(std::iter::once(first).chain(asked.try_iter()));
                    thread::park_timeout((took * REST).min(LONGEST_REST));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if upkeep <= Instant::now() {
                self.handle.run_upkeep();
                show_disks(&FOLDERS.lock());
                upkeep = Instant::now() + UPKEEP;
            }
        }
    }

    /// Writes the metrics down once for all of them.
    fn answer(&self, asked: impl Iterator<Item = Ask>) -> Duration {
        let asked: Vec<_> = asked.take(WAITING).collect();
        let began = Instant::now();
        let exported = exported(Some(&self.handle));
        let (mut text, mut open) = (None, None);
        for Ask { format, reply } in asked {
            let written = match format {
                Format::Text => &mut text,
                Format::OpenMetrics => &mut open,
            };
            let written = written.get_or_insert_with(|| Bytes::from(exposition::write(&exported, format)));
            // Who has gone does not need it any more.
            let _ = reply.send(written.clone());
        }
        let took = began.elapsed();
        self.cost.record(took.as_secs_f64());
        took
    }
}

fn show_disks(folders: &[(&'static str, PathBuf)]) {
    for (kind, folder) in folders {
        // A folder that is gone keeps its last figures.
        let Ok(disk) = rustix::fs::statvfs(folder) else { continue };
        gauge!(DISK_FREE_BYTES, "path_kind" => *kind).set((disk.f_bavail * disk.f_frsize) as f64);
        gauge!(DISK_SIZE_BYTES, "path_kind" => *kind).set((disk.f_blocks * disk.f_frsize) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_buckets_and_the_process() {
        install();
        histogram!("some_work_seconds").record(0.003);
        histogram!("some_batch_size").record(17.0);
        let text = render();
        assert!(text.contains("some_work_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("some_batch_size_bucket{le=\"32.0\"} 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("process_cpu_seconds_total "), "{text}");
        assert!(text.contains("process_start_time_seconds "), "{text}");
    }

    #[tokio::test]
    async fn who_asks_sees_what_was_before_and_askers_share() {
        install();
        let renderings = || {
            let text = render();
            let count = text.lines().find_map(|line| line.strip_prefix("metrics_render_seconds_count "));
            count.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
        };
        let before = renderings();
        for round in 1..=5 {
            metrics::counter!("rounds_total").increment(1);
            let askers = (0..40).map(|_| scrape(Some("application/openmetrics-text")));
            for answer in futures_util::future::join_all(askers).await {
                let (kind, text) = answer.unwrap();
                assert!(kind.starts_with("application/openmetrics-text"));
                let text = std::str::from_utf8(&text).unwrap();
                assert!(text.contains(&format!("\nrounds_total {round}\n")), "{text}");
                assert!(text.ends_with("\n# EOF\n"));
            }
        }
        assert!(renderings() - before <= 10, "{} renderings for 200 askers", renderings() - before);
    }

    #[test]
    fn a_disk_is_shown() {
        install();
        watch_disk("testing", std::env::temp_dir());
        let text = render();
        let bytes = |name: &str| {
            let line = format!("{name}{{path_kind=\"testing\"}} ");
            text.lines().find_map(|known| known.strip_prefix(&line)?.parse::<f64>().ok()).unwrap()
        };
        assert!(bytes("disk_free_bytes") <= bytes("disk_size_bytes") && bytes("disk_size_bytes") > 0.0);
    }
}
