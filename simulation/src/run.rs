//! Runs: episodes of some hundred faulty steps, each in a world of its own, and then calm until everything rests.

use std::collections::BTreeMap;

use crate::{
    choice::{Choices, Step, episode_seed},
    defect::Defect,
    world::World,
};

/// Steps of one episode before faults cease.
pub const EPISODE: u64 = 1_500;

/// How an episode went.
#[derive(Debug)]
pub struct Episode {
    /// Its decisions.
    pub record: Vec<Step>,
    /// Steps in trouble and in calm.
    pub steps: u64,
    /// What should never be.
    pub violation: Option<String>,
    /// What happened, when that was wanted.
    pub trace: Vec<String>,
    /// Orders by their last status.
    pub standing: BTreeMap<&'static str, usize>,
}

/// One episode: trouble for so many steps, then calm.
pub fn episode(choices: Choices, defect: Option<Defect>, trouble: u64, traced: bool) -> Episode {
    let mut world = World::new(choices, defect, traced);
    for _ in 0..trouble {
        if world.shared.violation.is_some() || !world.step() {
            break;
        }
    }
    if world.shared.violation.is_none() {
        world.calm_down();
    }
    if world.shared.violation.is_none()
        && let Some(flaw) = world.flaw()
    {
        world.shared.violate(flaw);
    }
    let standing = world.standing().into_iter().map(|(status, many)| (status.name(), many)).collect();
    Episode {
        steps: world.shared.tick,
        violation: world.shared.violation.take(),
        trace: world.shared.trace.take().unwrap_or_default(),
        record: world.into_record(),
        standing,
    }
}

/// What a run of many episodes gave.
#[derive(Debug, Default)]
pub struct Run {
    /// How many episodes.
    pub episodes: u64,
    /// How many steps.
    pub steps: u64,
    /// Orders by their last status.
    pub standing: BTreeMap<&'static str, usize>,
    /// The decisions of the first episode that failed, and how.
    pub failure: Option<(Vec<Step>, String)>,
}

/// Episodes from a seed, for so many steps or until one fails.
pub fn run(seed: u64, steps: u64, defect: Option<Defect>) -> Run {
    let mut run = Run::default();
    while run.steps < steps {
        let choices = Choices::seeded(episode_seed(seed, run.episodes));
        let episode = episode(choices, defect, EPISODE, false);
        run.episodes += 1;
        run.steps += episode.steps;
        for (status, many) in episode.standing {
            *run.standing.entry(status).or_default() += many;
        }
        if let Some(violation) = episode.violation {
            run.failure = Some((episode.record, violation));
            break;
        }
    }
    run
}

/// Makes a run again from its decisions.
pub fn replay(record: &[Step], defect: Option<Defect>, traced: bool) -> Episode {
    episode(Choices::recorded(record.to_vec()), defect, u64::MAX, traced)
}

/// The smallest record that we find which still fails: chunks of steps are left out, smaller and smaller ones (Zeller and
/// Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002), then single decisions are made the plainest.
pub fn shrink(record: &[Step], defect: Option<Defect>) -> Vec<Step> {
    let fails = |candidate: &[Step]| replay(candidate, defect, false).violation.is_some();
    let mut best = record.to_vec();
    let mut chunk = best.len() / 2;
    while chunk > 0 {
        let mut from = 1;
        let before = best.len();
        while from < best.len() {
            let to = (from + chunk).min(best.len());
            let mut candidate = best.clone();
            candidate.drain(from..to);
            if fails(&candidate) {
                best = candidate;
            } else {
                from = to;
            }
        }
        if best.len() == before || chunk > 1 {
            chunk /= 2;
        }
    }
    for step in 0..best.len() {
        for at in usize::from(step > 0)..best[step].len() {
            if best[step][at] != 0 {
                let mut candidate = best.clone();
                candidate[step][at] = 0;
                if fails(&candidate) {
                    best = candidate;
                }
            }
        }
    }
    best
}
