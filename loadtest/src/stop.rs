//! Ctrl-C: a run ends early, and what was measured so far is reported.

use std::{cell::Cell, future::Future, rc::Rc, time::Duration};

use tokio::sync::Notify;

/// Whether the run has to end.
#[derive(Clone, Default)]
pub struct Stop {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    asked: Cell<bool>,
    waiting: Notify,
}

impl Stop {
    /// Asked by the first Ctrl-C. The second one ends the process at once.
    pub fn on_ctrl_c() -> Self {
        let stop = Self::default();
        let asked = stop.clone();
        tokio::task::spawn_local(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                asked.ask();
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(i32::from(crate::INTERRUPTED));
                }
            }
        });
        stop
    }

    /// Ends the run.
    pub fn ask(&self) {
        self.state.asked.set(true);
        self.state.waiting.notify_waiters();
    }

    /// True when the run has to end.
    pub fn is_asked(&self) -> bool {
        self.state.asked.get()
    }

    /// Comes back when the run has to end.
    pub async fn asked(&self) {
        let waiting = self.state.waiting.notified();
        // One thread: nothing happens between the look and the wait.
        if !self.is_asked() {
            waiting.await;
        }
    }

    /// What the future gives, or nothing when it has not ended so long after the run has to: who is asked to stop may bring
    /// home what is nearly there.
    pub async fn or_soon<T>(&self, grace: Duration, future: impl Future<Output = T>) -> Option<T> {
        let given_up = async {
            self.asked().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            result = future => Some(result),
            () = given_up => None,
        }
    }

    /// What the future gives, or nothing when the run has to end before.
    pub async fn or<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked() => None,
            result = future => Some(result),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_hears_of_it_and_so_does_whoever_comes_later() {
        let stop = Stop::default();
        assert_eq!(stop.or(async { 7 }).await, Some(7));
        let waiting = stop.or(pending::<()>());
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        stop.ask();
        assert!(waiting.await.is_none());
        assert!(stop.or(pending::<()>()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_nearly_there_is_waited_for_and_nothing_else() {
        let (stop, grace) = (Stop::default(), Duration::from_secs(2));
        let after = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        assert!(stop.or_soon(grace, after(60)).await.is_some(), "nobody asks to stop");
        stop.ask();
        assert!(stop.or_soon(grace, after(1)).await.is_some());
        assert!(stop.or_soon(grace, after(3)).await.is_none());
    }
}
