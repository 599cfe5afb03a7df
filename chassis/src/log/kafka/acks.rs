//! Which of the messages on their way have arrived. Positions have no gaps, so what counts is the first one missing.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many messages may be on their way.
pub(super) const WINDOW: usize = 10_000;

/// Messages on their way, and the end of those that have arrived together with all before them.
pub(super) struct Acks {
    state: Mutex<State>,
    news: Notify,
    /// Apart, so that whoever waits for a failure is not woken by every arrival.
    bad_news: Notify,
}

/// Why a message has not arrived, and will not, or why those before it are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The brokers have refused it.
    Refused(String),
    /// It came to a place that another had already: the topic is not what it was.
    MadeAnew,
}

struct State {
    /// Everything up to here has arrived.
    through: i64,
    /// Since when the first one missing is the first one missing.
    since: Instant,
    /// Whether those behind it have, in order.
    window: VecDeque<bool>,
    failure: Option<Failure>,
}

impl Acks {
    /// Everything up to this position has arrived before.
    pub(super) fn new(through: i64) -> Self {
        let state = State { through, since: Instant::now(), window: VecDeque::new(), failure: None };
        Self { state: Mutex::new(state), news: Notify::new(), bad_news: Notify::new() }
    }

    /// The next message goes on its way. False when it must not: one before it has failed.
    pub(super) fn sent(&self) -> bool {
        let mut state = self.state.lock();
        if state.failure.is_some() {
            return false;
        }
        if state.window.is_empty() {
            state.since = Instant::now();
        }
        state.window.push_back(false);
        true
    }

    /// It did not, after all.
    pub(super) fn unsent(&self) {
        self.state.lock().window.pop_back();
    }

    /// This one has arrived.
    pub(super) fn arrived(&self, position: i64) {
        {
            let mut state = self.state.lock();
            let index = usize::try_from(position - state.through - 1);
            if let Some(arrived) = index.ok().and_then(|index| state.window.get_mut(index)) {
                *arrived = true;
            }
            if state.window.front() == Some(&true) {
                state.since = Instant::now();
            }
            while state.window.front() == Some(&true) {
                state.window.pop_front();
                state.through += 1;
            }
        }
        self.news.notify_waiters();
    }

    /// One has not, and will not. Nothing is sent after it.
    pub(super) fn failed(&self, failure: Failure) {
        self.state.lock().failure.get_or_insert(failure);
        self.news.notify_waiters();
        self.bad_news.notify_waiters();
    }

    /// Everything up to here has arrived.
    pub(super) fn through(&self) -> i64 {
        self.state.lock().through
    }

    /// For how long the first message that is missing has kept the others waiting; `None` when none is missing.
    pub(super) fn waiting(&self) -> Option<Duration> {
        let state = self.state.lock();
        (!state.window.is_empty()).then(|| state.since.elapsed())
    }

    /// Waits until more messages may be sent, and gives how many.
    pub(super) async fn room(&self) -> usize {
        self.when(&self.news, |state| Some(WINDOW - state.window.len()).filter(|room| *room > 0)).await
    }

    /// Waits until everything that was sent has arrived, or something has failed. True when nothing is on its way.
    pub(super) async fn all(&self) -> bool {
        self.when(&self.news, |state| {
            let all = state.window.is_empty();
            (all || state.failure.is_some()).then_some(all)
        })
        .await
    }

    /// Waits for a failure.
    pub(super) async fn failure(&self) -> Failure {
        self.when(&self.bad_news, |state| state.failure.clone()).await
    }

    async fn when<T>(&self, news: &Notify, look: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let news = news.notified();
            tokio::pin!(news);
            // Registered before looking, so that news in between is not missed.
            news.as_mut().enable();
            if let Some(found) = look(&self.state.lock()) {
                return found;
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_window_waits_and_a_failure_is_told() {
        let acks = Acks::new(100);
        assert!(acks.waiting().is_none());
        (0..WINDOW).for_each(|_| assert!(acks.sent()));
        assert!(acks.room().now_or_never().is_none());
        acks.arrived(102);
        assert!(acks.room().now_or_never().is_none() && acks.through() == 100);
        acks.arrived(101);
        assert_eq!((acks.room().now_or_never(), acks.through()), (Some(2), 102));
        assert!(acks.failure().now_or_never().is_none());
        assert!(acks.all().now_or_never().is_none() && acks.waiting().is_some());
        let failure = Failure::Refused("too large".to_owned());
        acks.failed(failure.clone());
        acks.failed(Failure::MadeAnew);
        assert_eq!(acks.failure().now_or_never(), Some(failure));
        assert!(!acks.sent(), "nothing may follow");
        assert_eq!(acks.all().now_or_never(), Some(false), "messages are on their way");
    }

    proptest! {
        /// Whatever order they arrive in, and however often each is told.
        #[test]
        fn nothing_that_is_missing_is_passed(order in prop::collection::vec(1i64..40, 0..200)) {
            let acks = Acks::new(0);
            (1..40).for_each(|_| assert!(acks.sent()));
            let mut arrived = std::collections::BTreeSet::new();
            for position in order {
                acks.arrived(position);
                arrived.insert(position);
                let expected = (1..).take_while(|position| arrived.contains(position)).count() as i64;
                prop_assert_eq!(acks.through(), expected);
            }
        }
    }
}
