//! From a seed to steps. Pure: the same experiment and the same seed give the same steps.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{Action, Experiment, ExperimentError, Fault, Pick, Step, What};

/// After it is back, a part is left alone at least so long.
pub(crate) const APART: Duration = Duration::from_millis(100);

/// An occurrence of a fault that has no place yet: when, which fault, its number.
type Due = Reverse<(Duration, usize, u32)>;

/// When what is had for oneself is free again.
type Busy = HashMap<String, Duration>;

/// One fault as it happens.
struct Course<'a> {
    number: usize,
    fault: &'a Fault,
    members: Vec<String>,
    /// Each fault has a generator of its own, so that another one beside it changes nothing for it.
    chance: StdRng,
    turn: usize,
}

pub(super) fn schedule(experiment: &Experiment, seed: u64) -> Result<Vec<Step>, ExperimentError> {
    let mut courses = Vec::new();
    let mut due: BinaryHeap<Due> = BinaryHeap::new();
    for (number, fault) in experiment.faults.iter().enumerate() {
        let mut course = Course::of(experiment, number, seed)?;
        for occurrence in 0..times(experiment, number)? {
            due.push(Reverse((course.begin(fault, occurrence), number, occurrence)));
        }
        courses.push(course);
    }
    let mut busy = Busy::new();
    let mut steps = Vec::new();
    while let Some(Reverse((at, number, occurrence))) = due.pop() {
        let course = &mut courses[number];
        if at + course.fault.lasts > experiment.length {
            return Err(experiment.fault_error(number, format!(
                "its occurrence {} does not fit into the run: what it meets is busy for too long; fewer times, a longer \
                 `every`, or more seconds",
                occurrence + 1
            )));
        }
        match course.happen(at, occurrence, &mut busy) {
            Ok(new) => steps.extend(new),
            // Whom it would meet is busy with another fault. It comes when they are free.
            Err(free) => due.push(Reverse((free, number, occurrence))),
        }
    }
    steps.sort_by_key(|step| (step.at, step.fault));
    Ok(steps)
}

/// How often a fault happens.
fn times(experiment: &Experiment, number: usize) -> Result<u32, ExperimentError> {
    let fault = &experiment.faults[number];
    let fits = fault.fits(experiment.length);
    match (fault.times, fits) {
        (Some(times), Some(fits)) if times > fits => Err(experiment.fault_error(
            number,
            format!(
                "{times} times do not fit: there is room for {fits} in {} seconds",
                experiment.length.as_secs()
            ),
        )),
        (Some(times), _) => Ok(times),
        (None, Some(fits)) => Ok(fits),
        (None, None) => Ok(1),
    }
}

impl<'a> Course<'a> {
    fn of(experiment: &'a Experiment, number: usize, seed: u64) -> Result<Self, ExperimentError> {
        let fault = &experiment.faults[number];
        let mut members = Vec::new();
        for name in fault.what.members().unwrap_or_default() {
            for member in
                experiment.resolve(name).map_err(|problem| experiment.fault_error(number, problem))?
            {
                if !members.contains(&member) {
                    members.push(member);
                }
            }
        }
        let own = seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Ok(Self { number, fault, members, chance: StdRng::seed_from_u64(own), turn: 0 })
    }

    /// When an occurrence begins if nothing is in its way.
    fn begin(&mut self, fault: &Fault, occurrence: u32) -> Duration {
        let every = fault.every.unwrap_or_default();
        let late = every.mul_f64(fault.jitter * self.chance.random::<f64>());
        let at = fault.at + every * occurrence + late;
        Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
    }

    /// The steps of an occurrence, or when to ask again.
    fn happen(&mut self, at: Duration, occurrence: u32, busy: &mut Busy) -> Result<Vec<Step>, Duration> {
        let chosen = self.choose(at, occurrence, busy)?;
        let mut steps = Vec::new();
        for member in chosen {
            let action = self.action(&member, occurrence);
            if let Some(what) = action.holds() {
                busy.insert(what, at + action.length() + APART);
            }
            let one_at_a_time = self.fault.one_at_a_time;
            steps.push(Step { at, fault: self.number, one_at_a_time, action });
        }
        Ok(steps)
    }

    fn choose(&mut self, at: Duration, occurrence: u32, busy: &Busy) -> Result<Vec<String>, Duration> {
        if self.members.is_empty() {
            let what = self.action("", occurrence).holds();
            return match what.and_then(|what| busy.get(&what)) {
                Some(free) if *free > at => Err(*free),
                _ => Ok(vec![String::new()]),
            };
        }
        let until: Vec<Duration> = self
            .members
            .iter()
            .map(|member| {
                let what = self.fault.what.holds(member);
                what.and_then(|what| busy.get(&what)).copied().unwrap_or_default()
            })
            .collect();
        let free: Vec<usize> = (0..until.len()).filter(|&member| until[member] <= at).collect();
        let next = match self.fault.pick {
            Pick::All if free.len() == until.len() => return Ok(self.members.clone()),
            Pick::All => return Err(until.into_iter().max().unwrap_or(at)),
            Pick::Random => free.choose(&mut self.chance).copied(),
            // Whose turn it is comes first; who is busy meanwhile is passed over.
            Pick::Turn => (0..until.len())
                .map(|offset| (self.turn + offset) % until.len())
                .find(|member| free.contains(member)),
        };
        let Some(next) = next else { return Err(until.into_iter().min().unwrap_or(at)) };
        self.turn = (next + 1) % self.members.len();
        Ok(vec![self.members[next].clone()])
    }

    fn action(&mut self, member: &str, occurrence: u32) -> Action {
        let part = member.to_owned();
        let lasts = self.fault.lasts;
        match &self.fault.what {
            What::Kill(_) => Action::Kill { part, down: lasts },
            What::Pause(_) => Action::Pause { part, hold: lasts },
            What::Restart(_) => Action::Restart { part, down: lasts },
            What::RestartPostgres => Action::RestartPostgres { down: lasts },
            What::Failpoint { points, passes, .. } => Action::Failpoint {
                part,
                point: points[occurrence as usize % points.len().max(1)].clone(),
                passes: self.chance.random_range(0..=*passes),
                within: lasts,
            },
            What::Weather { weather, .. } => Action::Weather { link: part, weather: *weather, hold: lasts },
            What::Cut(_) => Action::Cut { link: part },
            What::DiskFull(_) => Action::DiskFull { part, hold: lasts },
            What::Clock { shift, .. } => Action::Clock { part, shift: *shift, hold: lasts },
            What::RepeatEvents { topics, copies } => {
                Action::RepeatEvents { topics: topics.clone(), copies: *copies, seed: self.chance.random() }
            }
            What::Poison { topic, kind, count } => Action::Poison {
                topic: topic.clone(),
                kind: *kind,
                count: *count,
                seed: self.chance.random(),
            },
            What::RefuseRows(rows) => Action::RefuseRows { rows: rows.clone(), hold: lasts },
            What::Provider(provider) => Action::Provider { provider: *provider, hold: lasts },
            What::OnDemand { service, fault } => {
                Action::Faults { service: service.clone(), fault: fault.clone(), hold: lasts }
            }
            // Half of the time it says good-bye, half of the time it is only silent.
            What::Rebalance(_) if self.chance.random_bool(0.5) => {
                Action::Restart { part, down: Duration::from_millis(500).min(lasts) }
            }
            What::Rebalance(_) => Action::Pause { part, hold: lasts },
        }
    }
}

impl What {
    /// What one of its members has for itself meanwhile, as its action says.
    fn holds(&self, member: &str) -> Option<String> {
        match self {
            Self::Kill(_) | Self::Pause(_) | Self::Restart(_) | Self::Rebalance(_) => Some(member.to_owned()),
            Self::Failpoint { .. } | Self::DiskFull(_) => Some(member.to_owned()),
            Self::Weather { .. } => Some(format!("link {member}")),
            Self::Clock { .. } => Some(format!("clock {member}")),
            _ => None,
        }
    }
}
