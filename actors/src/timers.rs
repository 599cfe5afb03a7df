//! Timers that outlive the incarnations of their actor.
//!
//! A timer set through an actix context dies with the incarnation, stands still while the context waits, and can be
//! killed by a cancellation meant for its predecessor. These timers live beside the actor, are registered once with
//! its handle, and end when the actor ends for good: nothing has to be re-armed in `started`, and nothing ticks twice.
//!
//! A tick that is already in the mailbox cannot be taken back. So every tick carries the number of its arming, and
//! [`Tick::is_current`] says whether the timer has been cancelled or set anew since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, Supervised};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metrics::ticks_skipped;
use crate::reply::after;
use crate::{ActorRef, Answer, AskError, Reply};

/// A timer that fires once must not be lost to a full mailbox.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// How a timer is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    Off,
    Once(Duration),
    Every(Duration),
}

/// One tick, to be carried by the message that the timer sends. It takes a place in the mailbox until it is dropped.
#[derive(Debug)]
pub struct Tick {
    arming: u64,
    current: Arc<AtomicU64>,
    place: Option<Reply<()>>,
}

impl Tick {
    /// `false` when the timer has been cancelled or set anew since this tick was sent.
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire) == self.arming
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        // Dropped in a panic, the place itself reports a lost message.
        if !std::thread::panicking()
            && let Some(place) = self.place.take()
        {
            place.send(());
        }
    }
}

/// A timer of a supervised actor. Dropping the handle leaves the timer as it is set.
#[derive(Debug, Clone)]
pub struct Timer {
    setting: watch::Sender<(u64, Setting)>,
    current: Arc<AtomicU64>,
}

impl Timer {
    /// Sets it to fire once, `wait` from now, instead of what it was set to.
    pub fn once(&self, wait: Duration) {
        self.set(Setting::Once(wait));
    }

    /// Sets it to fire every `period` from now on, instead of what it was set to.
    pub fn every(&self, period: Duration) {
        self.set(Setting::Every(period));
    }

    /// Sets it to fire no more.
    pub fn cancel(&self) {
        self.set(Setting::Off);
    }

    fn set(&self, setting: Setting) {
        self.setting.send_modify(|slot| {
            *slot = (slot.0 + 1, setting);
            self.current.store(slot.0, Ordering::Release);
        });
    }
}

impl<A> ActorRef<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    /// A timer that sends the message which `make` builds around a [`Tick`]. It is not set yet: see [`Timer::once`]
    /// and [`Timer::every`]. It ends when the actor ends for good.
    ///
    /// A tick of a periodic timer that finds the mailbox full, or an earlier tick still in it, is skipped and counted:
    /// an actor that is late gains nothing from a queue of ticks. A timer that fires once waits for room.
    pub fn timer<M>(&self, make: impl Fn(Tick) -> M + Send + 'static) -> Timer
    where
        A: Handler<M>,
        M: Message<Result = ()> + Send + 'static,
    {
        let current = Arc::new(AtomicU64::new(0));
        let (setting, settings) = watch::channel((0, Setting::Off));
        let timer = Timer { setting, current: Arc::clone(&current) };
        let (actor, held) = (self.clone(), timer.clone());
        self.arbiter.spawn(async move {
            let ended = Arc::clone(&actor.child);
            tokio::select! {
                _ = ended.ended() => {}
                () = run(actor, settings, current, make) => {}
            }
            // The handle may be dropped long before; the channel stays open until here.
            drop(held);
        });
        timer
    }
}

async fn run<A, M>(
    actor: ActorRef<A>,
    mut settings: watch::Receiver<(u64, Setting)>,
    current: Arc<AtomicU64>,
    make: impl Fn(Tick) -> M,
) where
    A: Actor<Context = Context<A>> + Supervised + Handler<M>,
    M: Message<Result = ()> + Send + 'static,
{
    let skipped = ticks_skipped(actor.service(), actor.name());
    loop {
        let (arming, setting) = *settings.borrow_and_update();
        let (mut due, period) = match setting {
            Setting::Off => (None, None),
            Setting::Once(wait) => (Some(after(Instant::now(), wait)), None),
            Setting::Every(period) => {
                let period = period.max(Duration::from_millis(1));
                (Some(after(Instant::now(), period)), Some(period))
            }
        };
        // An unanswered tick's answer is pending for as long as the tick waits in the mailbox.
        let mut waiting: Option<Answer<()>> = None;
        loop {
            let Some(at) = due else {
                if settings.changed().await.is_err() {
                    return;
                }
                break;
            };
            tokio::select! {
                biased;
                changed = settings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                () = tokio::time::sleep_until(at) => {}
            }
            let late = waiting.as_mut().is_some_and(|tick| !tick.has_come());
            let sent = if late {
                Err(AskError::Overloaded)
            } else {
                actor.send_for_answer(|place| {
                    make(Tick { arming, current: Arc::clone(&current), place: Some(place) })
                })
            };
            // The next one is counted from now, not from when this one was due: no burst after a stall.
            due = period.map(|period| after(Instant::now(), period));
            match sent {
                Ok(answer) => waiting = Some(answer),
                Err(AskError::Overloaded) if period.is_none() => due = Some(after(Instant::now(), TRY_AGAIN)),
                Err(_) => skipped.increment(1),
            }
        }
    }
}
