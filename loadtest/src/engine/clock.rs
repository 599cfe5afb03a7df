//! Waiting for a moment. tokio's timers know only whole milliseconds, and an arrival that begins half a millisecond late
//! would be counted as the server's fault. A timer of the kernel (timerfd_create(2)) is exact to some tens of microseconds.

use std::time::{Duration, Instant};

/// Waits for one moment after another.
pub struct Clock {
    #[cfg(target_os = "linux")]
    timer: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

/// What is nearer than this is now: setting a timer takes as long.
const NOW: Duration = Duration::from_micros(5);

impl Clock {
    /// Without a timer of the kernel it is tokio's.
    pub fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: linux::timer().ok(),
        }
    }

    /// Comes back at this moment, or at once when it is over.
    pub async fn at(&self, moment: Instant) {
        let wait = moment.saturating_duration_since(Instant::now());
        if wait <= NOW {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && linux::at(timer, moment, wait).await.is_ok()
        {
            return;
        }
        tokio::time::sleep_until(moment.into()).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        io,
        os::fd::OwnedFd,
        time::{Duration, Instant},
    };

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    // What replaces it is unsafe, for descriptors that may change while they are owned; an `OwnedFd` cannot.
    #[allow(deprecated)]
    pub fn timer() -> io::Result<AsyncFd<OwnedFd>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        AsyncFd::with_interest(timerfd_create(TimerfdClockId::Monotonic, flags)?, Interest::READABLE)
    }

    pub async fn at(timer: &AsyncFd<OwnedFd>, moment: Instant, wait: Duration) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let wait = Timespec { tv_sec: wait.as_secs() as _, tv_nsec: wait.subsec_nanos().into() };
        let once = Itimerspec { it_interval: zero, it_value: wait };
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
        loop {
            // Each time it goes off is an event of its own, whether the count of times is read or not.
            timer.readable().await?.clear_ready();
            // Otherwise it went off before it was set again.
            if Instant::now() >= moment {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_moment_is_met_and_not_too_early() {
        let clock = Clock::new();
        let began = Instant::now();
        for number in 1..=40u32 {
            let moment = began + Duration::from_micros(700) * number;
            clock.at(moment).await;
            assert!(Instant::now() + NOW >= moment);
        }
        clock.at(began).await;
        // Generous: other work is going on.
        assert!(began.elapsed() < Duration::from_millis(700));
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_disturb_the_next() {
        let clock = Clock::new();
        let long = clock.at(Instant::now() + Duration::from_secs(60));
        assert!(tokio::time::timeout(Duration::from_millis(1), long).await.is_err());
        let moment = Instant::now() + Duration::from_millis(2);
        clock.at(moment).await;
        assert!(Instant::now() + NOW >= moment);
    }
}
