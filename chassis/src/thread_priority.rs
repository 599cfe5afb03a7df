//! Who runs first when there is more to do than the processor can.

use rustix::{process::setpriority_process, thread::gettid};

/// Less is more; 0 is what everybody has (`sched(7)`).
const AHEAD: i32 = -10;

/// Puts the current thread ahead of the process's others, where the system allows it (`CAP_SYS_NICE`, or
/// `RLIMIT_NICE`); tells whether it did.
///
/// For the thread that everything comes in through. Under a flood it has to say no to most, and while it waits for its
/// turn it neither says so nor hands on what there is still a place for.
pub fn put_this_thread_ahead() -> bool {
    // PRIO_PROCESS with a thread's id is that thread alone, on Linux.
    setpriority_process(Some(gettid()), AHEAD).is_ok()
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_itself_is_put_ahead() {
        let before = getpriority_process(Some(gettid())).unwrap();
        let (allowed, after) =
            std::thread::spawn(|| (put_this_thread_ahead(), getpriority_process(Some(gettid())).unwrap()))
                .join()
                .unwrap();
        assert_eq!(after, if allowed { AHEAD } else { before });
        assert_eq!(getpriority_process(Some(gettid())).unwrap(), before);
    }
}
