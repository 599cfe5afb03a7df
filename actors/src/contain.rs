//! The one place where a panic is caught and given a name.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Exit;

/// In a storm of panics only so many backtraces a minute are taken.
const BACKTRACES: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// A panic's message is cut here, in characters: it is text of whoever panics.
const LONGEST_MESSAGE: usize = 500;

thread_local! {
    /// What the code under `contain` is at, for the exit's `during`.
    static STAGE: Cell<&'static str> = const { Cell::new("") };
    /// Where the latest contained panic of this thread happened.
    static BACKTRACE: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic becomes an [`Exit::Panicked`].
///
/// Unwind safety is asserted because whoever calls this throws away all state that `work` could have left broken.
pub(crate) fn contain<T>(during: &'static str, work: impl FnOnce() -> T) -> Result<T, Exit> {
    let outer = STAGE.replace(during);
    let result = catch_unwind(AssertUnwindSafe(work));
    let stage = STAGE.replace(outer);
    result.map_err(|payload| Exit::Panicked { message: message_of(payload), during: stage })
}

/// Says what happens from here on, until the surrounding [`contain`] ends.
pub(crate) fn enter(stage: &'static str) {
    STAGE.set(stage);
}

/// A future whose panics are named `stage`, also those of the call that makes it.
pub(crate) async fn staged<F: Future>(stage: &'static str, make: impl FnOnce() -> F) -> F::Output {
    enter(stage);
    let mut future = pin!(make());
    poll_fn(|cx| {
        enter(stage);
        future.as_mut().poll(cx)
    })
    .await
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

fn message_of(payload: Box<dyn Any + Send>) -> String {
    let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
        text.chars().take(LONGEST_MESSAGE).collect()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.chars().take(LONGEST_MESSAGE).collect()
    } else {
        "a value that is no text".to_owned()
    };
    // A payload may be any type, also one whose Drop panics.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(payload)));
    message
}

/// From now on a contained panic is one line in the log, with the place in the code where it happened, and a backtrace
/// in [`Supervisor::exits`](crate::Supervisor::exits), instead of text on standard error. Panics elsewhere go to the hook that was installed before. Call once, when the process starts.
pub fn log_contained_panics() {
    let elsewhere = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let during = STAGE.try_with(Cell::get).unwrap_or_default();
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
