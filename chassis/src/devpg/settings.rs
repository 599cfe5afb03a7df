//! How the private server is set up: small, loopback only, and honest about durability.
//!
//! Everything is given on the command line, so the cluster's own files stay as `initdb` made them and a new
//! version of this program brings its settings along.

use super::DevPostgresConfig;

/// The bootstrap superuser.
pub(super) const SUPERUSER: &str = "postgres";
/// The database that is always there.
pub(super) const ADMIN_DATABASE: &str = "postgres";

/// PostgreSQL's own default for its cache, in MiB, and the most that is taken here.
const LEAST: u64 = 128;
const MOST: u64 = 1024;

/// MiB of cache: a sixteenth of the machine's memory. With less than the changed pages of a busy minute, each
/// connection writes out old pages before it can have new ones.
fn shared_buffers(memory: u64) -> u64 {
    (memory / 16).clamp(LEAST, MOST)
}

/// The machine's memory in MiB (proc(5)); none where that cannot be read.
fn memory() -> u64 {
    let total = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()
    };
    total().unwrap_or_default() / 1024
}

/// `name=value` pairs for `postgres -c`, without the port.
pub(super) fn settings(config: &DevPostgresConfig, major: u32) -> Vec<String> {
    let on_off = |on: bool| if on { "on" } else { "off" };
    let durable = on_off(config.fsync);
    let buffers = format!("shared_buffers={}MB", if config.fsync { shared_buffers(memory()) } else { LEAST });
    let mut settings: Vec<String> = [
        buffers.as_str(),
        // Who can reach it: this machine, with the password. No unix socket: its path may be at most 107
        // bytes, data folders are longer.
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "password_encryption=scram-sha-256",
        // Small: two cores, a laptop's memory, little processes that nobody asked for.
        "max_parallel_workers_per_gather=0",
        "max_logical_replication_workers=0",
        "autovacuum=on",
        "autovacuum_max_workers=2",
        "jit=off",
        // No replica will ever read this log, and fewer checkpoints mean fewer full pages in it.
        "wal_level=minimal",
        "max_wal_senders=0",
        // Compressing them (pglz is all that every build has) takes three times as long as writing them: making a
        // database took 150 ms with it and 45 without. Processor time is what two cores have least of.
        "wal_compression=off",
        "min_wal_size=128MB",
        "max_wal_size=2GB",
        "checkpoint_timeout=15min",
        "random_page_cost=1.1",
        // A deadlock here is a fault to show soon; a statement whose client was killed must not hold its
        // locks.
        "deadlock_timeout=100ms",
        "client_connection_check_interval=500ms",
        "timezone=UTC",
        // The log says what went wrong, not with whose data: statements stay out of it.
        "log_timezone=UTC",
        "log_line_prefix=%m [%p] %q%u@%d ",
        "log_checkpoints=off",
        "log_min_error_statement=panic",
        "logging_collector=off",
    ]
    .map(str::to_owned)
    .into();
    settings.extend([
        format!("max_connections={}", config.max_connections),
        format!("fsync={durable}"),
        format!("synchronous_commit={durable}"),
        format!("full_page_writes={durable}"),
    ]);
    if major >= 18 {
        // Three reader processes fewer; the data is in memory.
        settings.push("io_method=sync".to_owned());
    }
    settings
}
