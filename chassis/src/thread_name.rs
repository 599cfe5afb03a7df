//! Names of threads, so that the CPU time of a process can be told by service (`/proc/<pid>/task`, `top -H`, `perf`).

use std::ffi::CString;

/// Linux shows no more of a thread's name (`prctl(2)`, `PR_SET_NAME`).
const SHOWN: usize = 15;

/// Names the current thread, as far as the kernel shows names: the first 15 bytes.
///
/// Not for the main thread: its name is the process's.
pub fn name_this_thread(name: &str) {
    let shown: Vec<u8> = name.bytes().filter(|byte| *byte != 0).take(SHOWN).collect();
    // A name is for people; without it nothing is lost.
    let _ = CString::new(shown).map(|name| rustix::thread::set_name(&name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut() {
        let shown = std::thread::spawn(|| {
            name_this_thread("payments-simulator-http");
            std::fs::read_to_string("/proc/thread-self/comm").unwrap()
        });
        assert_eq!(shown.join().unwrap(), "payments-simula\n");
    }
}
