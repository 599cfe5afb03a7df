//! The guardian: one future that owns an actor and outlives its incarnations.
//!
//! It polls actix's `ContextFut` under `catch_unwind`, drops what fell under `catch_unwind` too (a panic in `stopped`
//! while unwinding would abort the process), asks its overseer what to do about an end, waits out the backoff and
//! restarts the context in place, so that the mailbox and what waits in it survive while the state is made anew.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use actix::dev::ContextFut;
use actix::dev::channel::AddressReceiver;
use actix::{Actor, ActorContext, ActorState, Addr, AsyncContext, Context, SpawnHandle, Supervised};
use tokio::time::Sleep;

use crate::Exit;
use crate::contain::{contain, enter};
use crate::faults::{Faults, Happens};
use crate::lever::{Command, Lever};
use crate::renew::{clearing, renewing};
use crate::reply::{AskError, with_cause};
use crate::watchdog::Pulse;

/// Makes one incarnation after another.
pub(crate) type Factory<A> = Box<dyn FnMut(&mut Context<A>) -> A>;

/// Who decides about a guarded actor: a node of the tree, or a router.
pub(crate) trait Overseer {
    /// An incarnation is up: it was built, and its first poll (with `started`) went well.
    fn up(&mut self);
    /// An incarnation ended. What now?
    fn fell(&mut self, exit: &Exit) -> Verdict;
    /// It waits for `Command::Start`.
    fn down(&mut self);
    /// It ended for good, and everything of it has been dropped.
    fn ended(&mut self, exit: Exit);
}

/// What follows an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A new incarnation after this pause.
    Restart(Duration),
    /// Wait until told to start: siblings are restarted with it.
    Wait,
    /// Wait until told to start, if ever: the supervisor itself is down.
    Hold,
    /// No new incarnation.
    End,
}

enum Body<A: Actor<Context = Context<A>>> {
    /// The factory has not succeeded yet; the mailbox is already there.
    Unborn(Context<A>),
    Born(ContextFut<A, Context<A>>),
    Gone,
}

enum Step {
    Build,
    Run { fresh: bool },
    Pause(Pin<Box<Sleep>>),
    Down,
    Ended,
}

pub(crate) struct Guardian<A, O>
where
    A: Actor<Context = Context<A>> + Supervised,
    O: Overseer,
{
    lever: Arc<Lever>,
    overseer: O,
    factory: Option<Factory<A>>,
    body: Body<A>,
    /// An actor without addresses ends; a supervised one is there for whoever comes.
    _keep: Addr<A>,
    step: Step,
    /// The body's futures have been dropped and its state is over: nothing of it may be called again.
    cleared: bool,
    stopping: bool,
    pulse: Pulse,
    /// What is to go wrong with the actor of this name.
    faults: Option<(&'static str, Faults)>,
    /// A fault holds it up.
    held_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<A, O> Guardian<A, O>
where
    A: Actor<Context = Context<A>> + Supervised,
    O: Overseer,
{
    /// To be called on the actor's arbiter; the result is to be spawned there.
    pub(crate) fn new(
        receiver: AddressReceiver<A>,
        keep: Addr<A>,
        lever: Arc<Lever>,
        overseer: O,
        factory: Factory<A>,
        pulse: Pulse,
    ) -> Guardian<A, O> {
        let body = Body::Unborn(Context::with_receiver(receiver));
        let step = Step::Build;
        let factory = Some(factory);
        Guardian {
            lever,
            overseer,
            factory,
            body,
            _keep: keep,
            step,
            cleared: false,
            stopping: false,
            pulse,
            faults: None,
            held_up: None,
        }
    }

    pub(crate) fn with_faults(mut self, faults: Option<(&'static str, Faults)>) -> Self {
        self.faults = faults;
        self
    }

    /// Whether a fault keeps the actor from its turn. One that panics has its own way.
    fn is_held_up(&mut self, cx: &mut task::Context<'_>) -> Result<bool, Exit> {
        if self.held_up.is_none()
            && let Some((name, faults)) = &self.faults
            && faults.are_armed()
        {
            match faults.at_handler(name, None) {
                Some(Happens::Panic) => contain("injected", || panic!("crash injected by a fault"))?,
                Some(Happens::Wait(over)) => self.held_up = Some(over),
                None => {}
            }
        }
        let Some(over) = &mut self.held_up else { return Ok(false) };
        if over.as_mut().poll(cx).is_pending() {
            return Ok(true);
        }
        self.held_up = None;
        Ok(false)
    }

    fn build(&mut self) -> Result<(), Exit> {
        match std::mem::replace(&mut self.body, Body::Gone) {
            Body::Unborn(mut ctx) => {
                let Some(factory) = self.factory.as_mut() else { return Ok(()) };
                match contain("factory", || factory(&mut ctx)) {
                    Ok(actor) => {
                        let mut future = ctx.into_future(actor);
                        mark_started(&mut future);
                        self.body = Body::Born(future);
                        Ok(())
                    }
                    Err(exit) => {
                        // Keep the context, for messages may wait in its mailbox already.
                        if sweep(&mut ctx) {
                            self.body = Body::Unborn(ctx);
                        }
                        Err(exit)
                    }
                }
            }
            Body::Born(mut future) => {
                let renewed = renewing(&mut self.factory, || future.restart());
                if renewed.is_ok() {
                    self.cleared = false;
                    mark_started(&mut future);
                }
                self.body = Body::Born(future);
                renewed
            }
            Body::Gone => Ok(()),
        }
    }

    /// Deals with the end of an incarnation.
    fn fell(&mut self, exit: Exit) {
        if self.stopping {
            let exit = if exit.is_failure() { exit } else { Exit::Stopped };
            return self.finish(exit);
        }
        let verdict = if matches!(self.body, Body::Gone) { Verdict::End } else { self.overseer.fell(&exit) };
        match verdict {
            Verdict::Restart(pause) => {
                self.discard(cause_of(&exit));
                self.step = Step::Pause(Box::pin(tokio::time::sleep(pause)));
            }
            Verdict::Wait | Verdict::Hold => {
                self.discard(cause_of(&exit));
                self.step = Step::Down;
                self.overseer.down();
            }
            Verdict::End => self.finish(exit),
        }
    }

    /// Drops the futures of a fallen incarnation at once, so that nothing of it runs or is held during the pause.
    fn discard(&mut self, cause: AskError) {
        self.held_up = None;
        if let Body::Born(future) = &mut self.body {
            if let Err(exit) = clearing(|| with_cause(cause, || future.restart())) {
                tracing::warn!(%exit, "a future of a fallen actor panicked when it was dropped");
            }
            self.cleared = true;
        }
        let _ = self.lever.outcome();
    }

    /// Ends for good: drops actor, mailbox and factory, and tells the overseer.
    fn finish(&mut self, exit: Exit) {
        if matches!(self.step, Step::Ended) {
            return;
        }
        self.step = Step::Ended;
        let cause = match &exit {
            failure if failure.is_failure() => AskError::Unavailable(failure.to_string()),
            _ => AskError::Stopping,
        };
        // What fell is cleared like before a restart. What is healthy may say goodbye: its drop polls `stopping` and
        // `stopped`.
        if exit.is_failure() {
            self.discard(cause_of(&exit));
        }
        let mut body = std::mem::replace(&mut self.body, Body::Gone);
        if self.cleared
            && let Body::Born(future) = &mut body
        {
            // A context that has been cleared counts as not started: dropped like that, it would call `started` on
            // what is left of the fallen state.
            future.ctx().terminate();
        }
        let factory = self.factory.take();
        let drop_all = || with_cause(cause, || drop(body));
        if let Err(exit) = contain("stopping", drop_all) {
            tracing::warn!(%exit, "an actor panicked when it was stopped");
        }
        let _ = contain("drop", || drop(factory));
        self.overseer.ended(exit);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Crash => {
                if matches!(self.step, Step::Run { .. })
                    && let Err(exit) = contain("injected", || panic!("crash injected"))
                {
                    self.fell(exit);
                }
            }
            Command::Abandon => {
                if matches!(self.step, Step::Run { .. }) {
                    let exit = self.lever.outcome().unwrap_or_else(|| Exit::Overdue(String::new()));
                    self.fell(exit);
                }
            }
            Command::Start => {
                if matches!(self.step, Step::Down) {
                    self.step = Step::Build;
                }
            }
            Command::Halt => {
                if !matches!(self.step, Step::Ended) {
                    self.discard(AskError::Dropped);
                    self.step = Step::Down;
                    self.overseer.down();
                }
            }
            Command::Stop => {
                self.stopping = true;
                match (&self.step, &mut self.body) {
                    (Step::Run { .. }, Body::Born(future)) => {
                        enter("stopping");
                        future.ctx().stop();
                    }
                    _ => self.finish(Exit::Stopped),
                }
            }
            Command::Kill => {
                self.stopping = true;
                self.finish(Exit::Stopped);
            }
        }
    }
}

impl<A, O> Unpin for Guardian<A, O>
where
    A: Actor<Context = Context<A>> + Supervised,
    O: Overseer,
{
}

impl<A, O> Future for Guardian<A, O>
where
    A: Actor<Context = Context<A>> + Supervised,
    O: Overseer,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.lever.register(cx.waker());
        loop {
            if let Some(command) = this.lever.take() {
                this.obey(command);
            }
            if this.faults.is_some() && matches!(this.step, Step::Run { .. }) && !this.stopping {
                match this.is_held_up(cx) {
                    Ok(false) => {}
                    Ok(true) => return Poll::Pending,
                    Err(exit) => {
                        this.fell(exit);
                        continue;
                    }
                }
            }
            match &mut this.step {
                Step::Build => match this.build() {
                    Ok(()) => this.step = Step::Run { fresh: true },
                    Err(exit) => this.fell(exit),
                },
                Step::Run { fresh } => {
                    let Body::Born(future) = &mut this.body else {
                        this.finish(Exit::Stopped);
                        continue;
                    };
                    let during = match (this.stopping, *fresh) {
                        (true, _) => "stopping",
                        (false, true) => "started",
                        (false, false) => "handler",
                    };
                    let beat = this.pulse.beat();
                    let polled = contain(during, || Pin::new(future).poll(cx));
                    drop(beat);
                    if *fresh && polled.is_ok() {
                        *fresh = false;
                        this.overseer.up();
                    }
                    match polled {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(())) => {
                            let exit = this.lever.outcome().unwrap_or(Exit::Normal);
                            this.fell(exit);
                        }
                        Err(exit) => this.fell(exit),
                    }
                }
                Step::Pause(sleep) => match sleep.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => this.step = Step::Build,
                },
                Step::Down => return Poll::Pending,
                Step::Ended => return Poll::Ready(()),
            }
        }
    }
}

impl<A, O> Drop for Guardian<A, O>
where
    A: Actor<Context = Context<A>> + Supervised,
    O: Overseer,
{
    /// The arbiter is torn down around it.
    fn drop(&mut self) {
        self.finish(Exit::Stopped);
    }
}

/// What the replies hear that an incarnation still held when it ended.
fn cause_of(exit: &Exit) -> AskError {
    match exit {
        Exit::Overdue(_) => AskError::TimedOut,
        failure if failure.is_failure() => AskError::Panicked,
        _ => AskError::Dropped,
    }
}

/// From here on a panic happened in a handler, not in `started`: actix polls `wait` futures after `started` and before
/// the mailbox.
fn mark_started<A: Actor<Context = Context<A>>>(future: &mut ContextFut<A, Context<A>>) {
    future.ctx().wait(actix::fut::wrap_future(async { enter("handler") }));
}

/// Cancels what a factory spawned before it panicked. `false` when the context cannot be used any more.
fn sweep<A: Actor<Context = Context<A>>>(ctx: &mut Context<A>) -> bool {
    let last = ctx.spawn(actix::fut::wrap_future(std::future::ready(())));
    let mut handle = SpawnHandle::default();
    while handle != last {
        handle = handle.next();
        ctx.cancel_future(handle);
    }
    ctx.state() == ActorState::Running
}
