//! The one place where a panic is caught and given a name.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use crate::Exit;

/// A panic's message is cut here, in characters: it is text of whoever panics.
const LONGEST_MESSAGE: usize = 500;

thread_local! {
    /// What the code under `contain` is at, for the exit's `during`.
    static STAGE: Cell<&'static str> = const { Cell::new("") };
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

/// What the code under [`contain`] is at on this thread; nothing when there is none.
pub(crate) fn stage() -> &'static str {
    STAGE.try_with(Cell::get).unwrap_or_default()
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
