//! The panic hook: what a contained panic leaves behind before it unwinds.
//!
//! In a file of its own, so that its frames can be told from those of the code that panicked (see [`exits`](crate::exits)).

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::contain::stage;

/// In a storm of panics only so many backtraces a minute are taken.
const BACKTRACES: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

thread_local! {
    /// Where the latest contained panic of this thread happened.
    static BACKTRACE: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

/// Where the panic happened that was just contained on this thread, if the hook has taken that down.
pub(crate) fn take_backtrace() -> Option<Backtrace> {
    BACKTRACE.try_with(RefCell::take).ok().flatten()
}

/// Takes down the addresses of the frames, a matter of microseconds; their names cost milliseconds and are looked up by
/// whoever reads.
fn note_backtrace() {
    static TAKEN: Mutex<Option<(Instant, u32)>> = Mutex::new(None);
    let now = Instant::now();
    let mut taken = TAKEN.lock();
    let (since, count) = taken.filter(|(since, _)| now - *since < MINUTE).unwrap_or((now, 0));
    *taken = Some((since, count + 1));
    drop(taken);
    let backtrace = (count < BACKTRACES).then(Backtrace::force_capture);
    let _ = BACKTRACE.try_with(|slot| slot.replace(backtrace));
}

/// From now on a contained panic is one line in the log, with the place in the code where it happened, and a backtrace
/// in [`Supervisor::exits`](crate::Supervisor::exits), instead of text on standard error. Panics elsewhere go to the hook
/// that was installed before. Call once, when the process starts.
pub fn log_contained_panics() {
    let elsewhere = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let during = stage();
        if during.is_empty() {
            return elsewhere(info);
        }
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let message = payload.downcast_ref::<&str>().copied();
        let message =
            message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        tracing::error!(during, location, message, "panic contained");
        note_backtrace();
    }));
}
