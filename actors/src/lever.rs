//! How a guardian is told what to do from anywhere: one word of memory and a waker.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::Exit;

/// What a guardian can be told. A later one in this list overrides an earlier one that has not been seen yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Panic now (fault injection).
    Crash = 1,
    /// The handler is late: throw the incarnation away and make a new one.
    Abandon = 2,
    /// Leave `Down` and start a new incarnation.
    Start = 3,
    /// Throw the incarnation away, keep the mailbox, wait for `Start`.
    Halt = 4,
    /// Stop for good, with the actor's consent.
    Stop = 5,
    /// Stop for good, now.
    Kill = 6,
}

#[derive(Debug, Default)]
pub(crate) struct Lever {
    command: AtomicU8,
    waker: AtomicWaker,
    outcome: Mutex<Option<Exit>>,
}

impl Lever {
    pub(crate) fn send(&self, command: Command) {
        self.command.fetch_max(command as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn take(&self) -> Option<Command> {
        if self.command.load(Ordering::Acquire) == 0 {
            return None;
        }
        match self.command.swap(0, Ordering::AcqRel) {
            1 => Some(Command::Crash),
            2 => Some(Command::Abandon),
            3 => Some(Command::Start),
            4 => Some(Command::Halt),
            5 => Some(Command::Stop),
            6 => Some(Command::Kill),
            _ => None,
        }
    }

    /// The actor says why it is about to stop itself; without a word, it is a normal end.
    pub(crate) fn leave(&self, exit: Exit) {
        *self.outcome.lock() = Some(exit);
    }

    pub(crate) fn outcome(&self) -> Option<Exit> {
        self.outcome.lock().take()
    }
}
