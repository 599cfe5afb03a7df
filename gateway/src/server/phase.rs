//! Where the gateway is in its life, told to every task.

use tokio::sync::watch;

/// Open, closing, closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    Draining,
    Closed,
}

/// The one who decides.
#[derive(Debug)]
pub(crate) struct PhaseSwitch(watch::Sender<Phase>);

/// One who follows.
#[derive(Debug, Clone)]
pub(crate) struct PhaseWatch(watch::Receiver<Phase>);

pub(crate) fn open() -> (PhaseSwitch, PhaseWatch) {
    let (sender, receiver) = watch::channel(Phase::Open);
    (PhaseSwitch(sender), PhaseWatch(receiver))
}

impl PhaseSwitch {
    /// Goes on to a phase, never back.
    pub(crate) fn set(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let on = phase > *now;
            *now = phase.max(*now);
            on
        });
    }
}

impl PhaseWatch {
    pub(crate) fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Until the phase is this one or a later one.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        // An error means that the switch is gone, and the gateway with it.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }

    pub(crate) async fn closed(&mut self) {
        self.reached(Phase::Closed).await;
    }
}
