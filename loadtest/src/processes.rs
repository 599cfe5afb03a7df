//! What the platform's processes use, as far as `/proc` tells (Linux, proc(5)).

use std::{collections::BTreeMap, fs};

/// Clock ticks per second in `/proc`: USER_HZ, which is 100 on every Linux port that Rust supports well.
const TICKS: f64 = 100.0;

/// What a group of processes uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Use {
    /// How many processes could be read.
    pub processes: usize,
    /// Seconds of CPU time, user and system.
    pub cpu_seconds: f64,
    /// Memory in MiB: each process's proportional share where that can be read (`Pss`), else what is resident.
    pub memory_mib: f64,
}

/// What everybody uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// The processes that were named.
    pub platform: Use,
    /// The processes named postgres below them.
    pub postgres: Use,
    /// This one.
    pub own: Use,
}

/// One process.
#[derive(Debug, PartialEq)]
struct Process {
    name: String,
    parent: u32,
    /// Own time, and that of children who have ended and were waited for.
    ticks: (u64, u64),
}

/// What the named processes use by now, and those of PostgreSQL below them.
pub fn usage(pids: &[u32]) -> Usage {
    let all: BTreeMap<u32, Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, read(pid)?)))
        .collect();
    let mut usage = Usage::default();
    for (&pid, process) in &all {
        if pid == std::process::id() {
            usage.own.add(pid, process.ticks.0);
        } else if pids.contains(&pid) {
            usage.platform.add(pid, process.ticks.0);
        } else if process.name == "postgres" && is_below(pid, pids, &all) {
            // The postmaster's ended children count: a backend that is gone has used its time all the same.
            usage.postgres.add(pid, process.ticks.0 + process.ticks.1);
        }
    }
    usage
}

impl Usage {
    /// CPU time since then; memory as it is now.
    pub fn since(self, before: &Usage) -> Usage {
        let since = |now: Use, before: Use| Use { cpu_seconds: now.cpu_seconds - before.cpu_seconds, ..now };
        Usage {
            platform: since(self.platform, before.platform),
            postgres: since(self.postgres, before.postgres),
            own: since(self.own, before.own),
        }
    }
}

impl Use {
    fn add(&mut self, pid: u32, ticks: u64) {
        self.processes += 1;
        self.cpu_seconds += ticks as f64 / TICKS;
        self.memory_mib += memory(pid).unwrap_or_default() as f64 / 1024.0;
    }
}

fn is_below(mut pid: u32, above: &[u32], all: &BTreeMap<u32, Process>) -> bool {
    while let Some(process) = all.get(&pid) {
        if above.contains(&process.parent) {
            return true;
        }
        pid = process.parent;
    }
    false
}

fn read(pid: u32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state ppid …`; the name may hold anything, so what follows is counted from the last parenthesis.
fn parse(stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let name = head.split_once(" (")?.1.to_owned();
    let field = |number: usize| tail.split(' ').nth(number - 3);
    let ticks = |number: usize| field(number)?.parse::<u64>().ok();
    Some(Process {
        name,
        parent: field(4)?.parse().ok()?,
        ticks: (ticks(14)? + ticks(15)?, ticks(16)? + ticks(17)?),
    })
}

/// KiB.
fn memory(pid: u32) -> Option<u64> {
    let line = |file: &str, name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    line("smaps_rollup", "Pss:").or_else(|| line("status", "VmRSS:"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "42 (a) b (c) S 7 1 1 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5";
        let expected = Process { name: "a) b (c".to_owned(), parent: 7, ticks: (120, 7) };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("42 (x"), None);
    }

    #[test]
    fn descendants_are_found_at_any_depth() {
        let process = |parent| Process { name: "postgres".to_owned(), parent, ticks: (0, 0) };
        let all = BTreeMap::from([
            (1, process(0)),
            (5, process(1)),
            (6, process(5)),
            (7, process(6)),
            (8, process(1)),
        ]);
        assert!(is_below(7, &[5], &all));
        assert!(!is_below(8, &[5], &all));
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage(&[]);
        assert_eq!(usage.own.processes, 1);
        assert!(usage.own.memory_mib > 0.1);
    }
}
