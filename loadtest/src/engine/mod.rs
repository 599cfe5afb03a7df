//! Makes the load: a phase's journeys begin by a schedule or by clients, and their end is waited for.

mod clock;
mod closed;
mod crowd;
mod open;
mod peak;
mod prepare;
mod run;
mod setting;
mod stage;
#[cfg(test)]
mod tests;
mod words;

pub use self::run::run;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    arrivals::Schedule,
    journey::{Chooser, World},
    measure::{recorder::Recorder, usage::Sampler},
    profile::{Load, Phase, Shape},
    streams::Board,
};

/// How long requests under way are waited for when a run is interrupted.
pub const GRACE: Duration = Duration::from_secs(2);

/// A phase that is under way.
pub struct Running {
    /// What all phases share.
    pub world: Rc<World>,
    /// What is seen is written down here.
    pub recorder: Rc<Recorder>,
    /// What streams see is written down here.
    pub board: Rc<Board>,
    /// The phase.
    pub phase: Rc<Phase>,
    /// Its journeys.
    pub chooser: Rc<Chooser>,
    /// In the idempotency keys.
    pub name: String,
    /// For the schedule's random choices.
    pub seed: u64,
    /// The most connections of an open loop.
    pub connections: usize,
    /// Who uses the machine, when somebody looks.
    pub sampler: Option<Rc<Sampler>>,
}

impl Running {
    /// Makes the phase's load, and waits until every request has its answer. `peak` is what rates in multiples of the
    /// peak are multiples of.
    pub async fn load(self, peak: f64) {
        self.recorder.begin();
        match &self.phase.load {
            Load::Closed { clients, ramp_up } => {
                let (clients, ramp_up) = (*clients, Duration::from_secs_f64(*ramp_up));
                closed::run(Rc::new(self), clients, ramp_up).await;
            }
            Load::Open { shape, even, .. } => {
                let schedule = schedule(*shape, *even, peak, self.phase.seconds);
                open::run(Rc::new(self), &schedule).await;
            }
            // Made elsewhere.
            Load::Replay => {}
        }
    }

    /// Nothing begins any more: the measured time ends here, and what is used up to now is its own.
    fn end(&self) {
        self.recorder.end();
        if let Some(sampler) = &self.sampler {
            sampler.look();
        }
    }
}

/// The schedule of a shape whose rates are multiples of `unit`.
pub fn schedule(shape: Shape, even: bool, unit: f64, seconds: f64) -> Schedule {
    let schedule = match shape {
        Shape::Flat { rate } => Schedule::poisson(rate * unit, seconds),
        Shape::Ramp { from, to } => Schedule::ramp(from * unit, to * unit, seconds),
        Shape::Step { from, to, steps } => Schedule::step(from * unit, to * unit, steps, seconds),
        Shape::Spike { rate, to, at, lasts } => Schedule::spike(rate * unit, to * unit, at, lasts, seconds),
    };
    if even { schedule.even() } else { schedule }
}

/// Waits for what is under way; not for long when the run is interrupted.
async fn finish(running: &Running, mut under_way: JoinSet<()>) {
    let all = async { while under_way.join_next().await.is_some() {} };
    // What is not answered by then is not counted.
    let _ = running.world.stop.or_soon(GRACE, all).await;
}

/// A moment of the phase's time line, as tokio counts.
fn moment(at: Instant) -> tokio::time::Instant {
    at.into()
}
