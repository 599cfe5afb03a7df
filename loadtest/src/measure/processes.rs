//! What a process uses, as far as `/proc` tells (Linux, proc(5)). Elsewhere nothing is found, and the report says so.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    net::SocketAddr,
};

/// Clock ticks per second in `/proc`: USER_HZ, which is 100 on every Linux port that Rust supports well.
const TICKS: f64 = 100.0;

/// One process or thread.
#[derive(Debug, Clone, PartialEq)]
pub struct Stat {
    /// Its name (`comm`): at most 15 bytes, and anything may be in it.
    pub name: String,
    /// Its parent.
    pub parent: u32,
    /// Seconds of CPU time, user and system.
    pub cpu: f64,
    /// The same of its children that have ended and were waited for.
    pub ended_children_cpu: f64,
}

/// Memory of a process in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Memory {
    /// Its own pages: heap and stacks.
    pub own: f64,
    /// Pages of files that are mapped, such as its program.
    pub files: f64,
    /// Pages that it shares with others on purpose, such as PostgreSQL's buffers.
    pub shared: f64,
}

/// A process.
pub fn process(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Its threads by their id.
pub fn threads(pid: u32) -> Vec<(u32, Stat)> {
    let stat = |thread| parse(&fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?);
    numbers(&format!("/proc/{pid}/task")).filter_map(|thread| Some((thread, stat(thread)?))).collect()
}

/// Its children, without a look at every process of the machine where the kernel can be asked.
pub fn children(pid: u32) -> Vec<u32> {
    match fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(children) => children.split_whitespace().filter_map(|child| child.parse().ok()).collect(),
        Err(_) => all().filter(|(_, stat)| stat.parent == pid).map(|(pid, _)| pid).collect(),
    }
}

/// Every process that can be seen.
pub fn all() -> impl Iterator<Item = (u32, Stat)> {
    numbers("/proc").filter_map(|pid| Some((pid, process(pid)?)))
}

/// All processes below this one, at any depth.
pub fn below(pid: u32) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    let mut next = vec![pid];
    while let Some(pid) = next.pop() {
        for child in children(pid) {
            if !found.contains(&child) {
                found.push(child);
                next.push(child);
            }
        }
    }
    found
}

/// How a process was called, with spaces for what separates the arguments.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// What it holds in memory: what is resident.
pub fn memory(pid: u32) -> Option<Memory> {
    parse_memory(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// CPU time of the machine, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    /// What all its processes have used.
    pub used: f64,
    /// What a hypervisor gave to other machines while this one wanted it.
    pub stolen: f64,
}

/// The machine's CPU time.
pub fn machine() -> Option<Machine> {
    parse_machine(&fs::read_to_string("/proc/stat").ok()?)
}

/// The ports that these processes are connected to.
pub fn peers(pids: &[u32]) -> BTreeSet<u16> {
    let sockets: HashSet<u64> = pids.iter().flat_map(|pid| sockets_of(*pid)).collect();
    tables()
        .iter()
        .flat_map(|table| connected(table))
        .filter(|(inode, _)| sockets.contains(inode))
        .map(|(_, port)| port)
        .collect()
}

/// The processes that listen on these ports of this machine, by port.
pub fn listeners(ports: &[u16]) -> BTreeMap<u16, u32> {
    let sockets: BTreeMap<u64, u16> =
        tables().iter().flat_map(|table| listening(table)).filter(|(_, port)| ports.contains(port)).collect();
    let mut found = BTreeMap::new();
    if sockets.is_empty() {
        return found;
    }
    for pid in numbers("/proc") {
        for inode in sockets_of(pid) {
            if let Some(port) = sockets.get(&inode) {
                // A listener that was handed on to children is the parent's.
                found.entry(*port).and_modify(|known: &mut u32| *known = pid.min(*known)).or_insert(pid);
            }
        }
    }
    found
}

/// The port in `http://host:port` or `host:port`.
pub fn port(address: &str) -> Option<u16> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    authority
        .parse::<SocketAddr>()
        .map(|address| address.port())
        .ok()
        .or_else(|| authority.rsplit_once(':')?.1.parse().ok())
}

/// Sockets that a process holds.
fn sockets_of(pid: u32) -> HashSet<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

fn tables() -> [String; 2] {
    ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default())
}

/// Sockets that listen, with their ports, from a table such as `/proc/net/tcp`.
fn listening(table: &str) -> impl Iterator<Item = (u64, u16)> {
    // TCP_LISTEN
    sockets(table, "0A", 1)
}

/// Sockets that are connected, with the ports at the other end.
fn connected(table: &str) -> impl Iterator<Item = (u64, u16)> {
    // TCP_ESTABLISHED
    sockets(table, "01", 2)
}

/// Sockets in this state, with the port in this column.
fn sockets(table: &str, state: &'static str, column: usize) -> impl Iterator<Item = (u64, u16)> {
    table.lines().skip(1).filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != state {
            return None;
        }
        let port = u16::from_str_radix(fields.get(column)?.rsplit_once(':')?.1, 16).ok()?;
        Some((fields.get(9)?.parse().ok()?, port))
    })
}

fn numbers(folder: &str) -> impl Iterator<Item = u32> + use<> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// `pid (name) state ppid …`; the name may hold anything, so what follows is counted from the last parenthesis.
fn parse(stat: &str) -> Option<Stat> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let name = head.split_once(" (")?.1.to_owned();
    let field = |number: usize| tail.split(' ').nth(number - 3);
    let seconds = |number: usize| Some(field(number)?.parse::<u64>().ok()? as f64 / TICKS);
    Some(Stat {
        name,
        parent: field(4)?.parse().ok()?,
        cpu: seconds(14)? + seconds(15)?,
        ended_children_cpu: seconds(16)? + seconds(17)?,
    })
}

/// `cpu user nice system idle iowait irq softirq steal …`; guests are in user.
fn parse_machine(stat: &str) -> Option<Machine> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).take(8).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    let stolen = ticks.get(7).copied().unwrap_or_default();
    let used = ticks.iter().sum::<u64>() - idle - stolen;
    Some(Machine { used: used as f64 / TICKS, stolen: stolen as f64 / TICKS })
}

fn parse_memory(status: &str) -> Option<Memory> {
    let mib = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? as f64 / 1024.0)
    };
    Some(Memory { own: mib("RssAnon:")?, files: mib("RssFile:")?, shared: mib("RssShmem:")? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "42 (a) b (c) S 7 1 1 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5";
        let expected = Stat { name: "a) b (c".to_owned(), parent: 7, cpu: 1.2, ended_children_cpu: 0.07 };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("42 (x"), None);
    }

    #[test]
    fn memory_is_told_by_its_kind() {
        let status =
            "Name:\tx\nVmRSS:\t 4096 kB\nRssAnon:\t 2048 kB\nRssFile:\t 1024 kB\nRssShmem:\t 1024 kB\n";
        assert_eq!(parse_memory(status), Some(Memory { own: 2.0, files: 1.0, shared: 1.0 }));
        assert_eq!(parse_memory("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn a_machine_is_busy_when_it_is_not_idle() {
        let expected = Machine { used: 1.65, stolen: 0.05 };
        assert_eq!(parse_machine("cpu  100 20 30 5000 60 7 8 5 1 1\ncpu0 1 2 3\n"), Some(expected));
        assert_eq!(parse_machine("cpu0 1 2 3"), None);
        assert!(machine().unwrap().used > 0.0);
    }

    #[test]
    fn listening_sockets_are_told_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0\n\
            1: 0100007F:1F90 0100007F:A001 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4\n";
        assert_eq!(listening(table).collect::<Vec<_>>(), [(4711, 8080)]);
        assert_eq!(connected(table).collect::<Vec<_>>(), [(4712, 0xA001)]);
    }

    #[test]
    fn whoever_listens_on_a_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listeners(&[port]).get(&port), Some(&std::process::id()));
        assert!(!peers(&[std::process::id()]).contains(&port));
        let _connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(peers(&[std::process::id()]).contains(&port));
    }

    #[test]
    fn ports_are_read_from_addresses() {
        assert_eq!(port("http://127.0.0.1:8080"), Some(8080));
        assert_eq!(port("127.0.0.1:36023"), Some(36023));
        assert_eq!(port("http://[::1]:81/x"), Some(81));
        assert_eq!(port("http://host"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let pid = std::process::id();
        assert!(process(pid).is_some());
        assert!(memory(pid).unwrap().own > 0.1);
        assert!(threads(pid).iter().any(|(thread, _)| *thread == pid));
        assert!(children(process(pid).unwrap().parent).contains(&pid));
    }
}
