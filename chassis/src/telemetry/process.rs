//! What the kernel knows about this process, read when somebody asks. Names as in Prometheus' own client libraries.

use std::fmt::Write as _;
use std::fs;
use std::sync::LazyLock;

use uuid::Uuid;

use crate::metrics::{
    Metric, PROCESS_CPU_SECONDS_TOTAL, PROCESS_OPEN_FDS, PROCESS_RESIDENT_MEMORY_BYTES,
    PROCESS_START_TIME_SECONDS, PROCESS_THREADS,
};

/// The kernel counts CPU time for `/proc` in USER_HZ, which is 100 on every architecture that Linux still runs on.
const TICKS_PER_SECOND: f64 = 100.0;

static ID: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);

/// What tells this process from every other one, and from the one that ran here before it.
pub(super) fn id() -> Uuid {
    *ID
}

/// Appends the process metrics. What cannot be read (no Linux, no `/proc`) is left out.
pub(super) fn render(out: &mut String) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| field(&status, name).and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    if let Some(rss) = kib("VmRSS:") {
        line(out, &PROCESS_RESIDENT_MEMORY_BYTES, rss * 1024);
    }
    if let Some(threads) = kib("Threads:") {
        line(out, &PROCESS_THREADS, threads);
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&stat) {
        line(out, &PROCESS_CPU_SECONDS_TOTAL, seconds);
    }
    if let Some(seconds) = start_time(&stat) {
        line(out, &PROCESS_START_TIME_SECONDS, seconds);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        line(out, &PROCESS_OPEN_FDS, entries.count());
    }
}

fn line(out: &mut String, metric: &Metric, value: impl std::fmt::Display) {
    let Metric { name, kind, help, .. } = metric;
    let kind = kind.name();
    // Writing to a String cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The fields of `/proc/self/stat` from the third one on. The second is the program's name in parentheses and may hold
/// anything; so they are counted from behind it.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = fields(stat)?.skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// In Unix time: the kernel counts from when the machine was started.
fn start_time(stat: &str) -> Option<f64> {
    let since_boot: f64 = fields(stat)?.nth(19)?.parse().ok()?;
    let kernel = fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = field(&kernel, "btime ")?.parse().ok()?;
    Some(booted + since_boot / TICKS_PER_SECOND)
}
