//! What the kernel knows about this process, read when somebody asks. Names as in Prometheus' own client libraries.

use std::fmt::Write as _;
use std::fs;
use std::sync::LazyLock;

use uuid::Uuid;

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
        line(out, "process_resident_memory_bytes", "gauge", "Resident memory.", rss * 1024);
    }
    if let Some(threads) = kib("Threads:") {
        line(out, "process_threads", "gauge", "Threads.", threads);
    }
    if let Some(seconds) = cpu_seconds() {
        line(out, "process_cpu_seconds_total", "counter", "CPU time, user and system.", seconds);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        line(out, "process_open_fds", "gauge", "Open file descriptors.", entries.count());
    }
}

fn line(out: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything; count from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}
