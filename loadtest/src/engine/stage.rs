//! Phases one after the other: load, waiting for the orders, and the phase's part of the report.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use super::{Running, crowd, peak::Search, words};
use crate::{
    failure::Failure,
    journey::{Chooser, World, mix},
    measure::{components::Components, finals, recorder::Recorder, usage::Sampler},
    profile::{Load, Phase, Rate, Shape},
    replay::{Driven, Replay},
    report::{draft::Draft, live, model, objectives, phase as written},
    streams::Board,
};

/// Seconds of a window of the search for the peak, and of its warm-up.
const WINDOW: (f64, f64) = (10.0, 2.0);
/// Numbers of windows begin here, far above those of phases.
const WINDOWS_FROM: u64 = 1 << 32;
/// The most windows.
const WINDOWS: u32 = 12;
/// How exactly the peak is wanted.
const EXACT: f64 = 0.05;
/// In a window that keeps up so many of a hundred requests are answered well.
const ANSWERED: f64 = 0.99;

/// How long the platform is still asked what became of the orders when a run is interrupted: time for a hundred thousand of
/// them when it is well, and an end when it hangs.
const LOOKING_BACK: Duration = Duration::from_secs(10);

/// Where the phases of a run happen.
pub struct Stage<'a> {
    /// What all phases share.
    pub world: Rc<World>,
    /// The run's seed.
    pub seed: u64,
    /// Who uses the machine.
    pub sampler: Rc<Sampler>,
    /// Whether people watch.
    pub live: bool,
    /// The file's invoices, when there are some to replay.
    pub replay: Option<&'a Replay>,
    /// Which processes these are.
    pub components: &'a Components,
    /// The report.
    pub draft: &'a mut Draft,
    /// Orders per second at the peak, once it is known.
    pub peak: Option<f64>,
    /// Phases whose orders are waited for together with those of the next one.
    pub waiting: Vec<Seen>,
    /// How many phases there have been.
    pub phases: u64,
    /// How many windows of the search for the peak.
    pub windows: u64,
    /// The most connections of an open loop.
    pub connections: usize,
}

/// A part of a run, by its number.
#[derive(Debug, Clone, Copy)]
enum Part {
    Phase(u64),
    Window(u64),
}

impl Part {
    /// In the idempotency keys.
    fn name(self) -> String {
        match self {
            Self::Phase(number) => number.to_string(),
            Self::Window(number) => format!("w{number}"),
        }
    }

    /// What its random choices begin from. How many windows a search needs must not change what the phases after it ask for.
    fn seed(self, run: u64) -> u64 {
        match self {
            Self::Phase(number) => mix(run, number),
            Self::Window(number) => mix(run, WINDOWS_FROM + number),
        }
    }
}

/// A phase whose load is over.
pub struct Seen {
    phase: Phase,
    load: String,
    recorder: Rc<Recorder>,
    /// What only this phase has to tell.
    extra: model::Phase,
    /// What was sent of a file.
    driven: Option<Driven>,
}

impl Stage<'_> {
    /// One phase: its load, and when the next one may not begin before, its orders and its part of the report.
    pub async fn phase(&mut self, phase: &Phase) -> Result<(), Failure> {
        let part = Part::Phase(self.phases);
        self.phases += 1;
        let seen = self.load(phase, part).await?;
        self.waiting.extend(seen);
        if phase.settle || self.world.stop.is_asked() {
            self.settle().await;
        }
        Ok(())
    }

    /// Makes a phase's load; nothing when the run has to end before it begins.
    async fn load(&mut self, phase: &Phase, part: Part) -> Result<Option<Seen>, Failure> {
        let unit = match phase.load {
            Load::Open { unit: Rate::Peak, .. } => self.peak.filter(|peak| *peak > 0.0).ok_or_else(|| {
                Failure::Other(format!(
                    "phase {} has no rate: nothing was completed at the peak. Is there stock? An administrator's token \
                     (--admin-token) lets goods be received",
                    phase.name
                ))
            })?,
            _ => 1.0,
        };
        let recorder = Recorder::new(Duration::from_secs_f64(phase.warm_up));
        let board = Board::new(recorder.clone());
        let gathering = crowd::gather(&self.world, phase, self.components, &board);
        let Some(crowd) = self.world.stop.or_soon(super::GRACE, gathering).await.transpose()? else {
            return Ok(None);
        };
        let seed = part.seed(self.seed);
        let running = Running {
            world: self.world.clone(),
            recorder: recorder.clone(),
            board: board.clone(),
            phase: Rc::new(phase.clone()),
            chooser: Rc::new(Chooser::new(phase, seed)),
            name: part.name(),
            seed,
            connections: self.connections,
            sampler: Some(self.sampler.clone()),
        };
        let load = words::load(phase, unit);
        let live =
            self.live.then(|| live::phase(&phase.name, &load, phase.seconds, &recorder, Some(&self.sampler)));
        let driven = match (&phase.load, self.replay) {
            (Load::Replay, Some(replay)) => {
                recorder.begin();
                let driven = replay
                    .drive(&self.world.target, &self.world.customers, &recorder, &self.world.stop)
                    .await;
                running.end();
                Some(driven)
            }
            _ => {
                running.load(unit).await;
                None
            }
        };
        drop(live);
        let mut extra = model::Phase::default();
        if let Some(crowd) = &crowd {
            crowd::told(crowd, &board, &mut extra);
        }
        Ok(Some(Seen { phase: phase.clone(), load, recorder, extra, driven }))
    }

    /// Waits for the orders of the phases that are over, and writes what they were. Whatever goes wrong meanwhile is in what
    /// is written: a load that is over is never thrown away.
    pub async fn settle(&mut self) {
        let all = std::mem::take(&mut self.waiting);
        let orders: Vec<u64> = all.iter().map(|seen| seen.recorder.orders().len() as u64).collect();
        for (number, seen) in all.into_iter().enumerate() {
            let sets_peak = seen.phase.sets_peak;
            // Orders of the phases that followed at once are in the history too, and not unknown.
            let later = orders[number + 1..].iter().sum();
            let wanted = seen.phase.objectives.clone();
            let phase = self.written(seen, later).await;
            let phase = self.draft.phase(phase, &wanted);
            if sets_peak {
                self.peak = Some(peak_of(phase));
            }
        }
    }

    /// The part of the report, when the orders are final.
    async fn written(&self, mut seen: Seen, later: u64) -> model::Phase {
        let orders = !seen.recorder.orders().is_empty();
        let finals = if orders {
            let within = Duration::from_secs_f64(seen.phase.final_within);
            // An interrupted run does not wait for long.
            let within = if self.world.stop.is_asked() { within.min(super::GRACE) } else { within };
            let World { target, customers, stop, .. } = &*self.world;
            let mut finals =
                finals::follow(target, customers, &seen.recorder, within, stop, LOOKING_BACK).await;
            finals.unknown = finals.unknown.saturating_sub(later);
            Some(finals)
        } else {
            None
        };
        if let (Some(driven), Some(replay)) = (seen.driven.take(), self.replay) {
            self.reconciled(replay, driven, &mut seen.extra).await;
        }
        let usage = self.sampler.usage();
        let mut phase = written::phase(&written::Seen {
            name: &seen.phase.name,
            load: seen.load,
            recorder: &seen.recorder,
            finals: finals.as_ref(),
            usage: Some(&usage),
            peak: self.peak,
        });
        phase.figures.extend(seen.extra.figures);
        phase.notes.extend(seen.extra.notes);
        phase.tables.extend(seen.extra.tables);
        phase
    }

    /// The file's books and the platform's.
    async fn reconciled(&self, replay: &Replay, driven: Driven, told: &mut model::Phase) {
        let World { target, customers, stop, .. } = &*self.world;
        let reconciling = replay.reconcile(target, customers, driven, stop);
        match stop.or_soon(LOOKING_BACK, reconciling).await {
            Some(Ok(outcome)) => {
                let figures = outcome.figures();
                told.figures.extend(figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)));
                told.tables.extend(outcome.tables());
                told.notes.extend(outcome.notes);
            }
            Some(Err(failure)) => told.notes.push(format!("the books could not be compared: {failure}")),
            None => told.notes.push("interrupted before the books were compared".to_owned()),
        }
    }

    /// Searches the highest rate at which this phase's journeys keep its objectives.
    pub async fn search(&mut self, phase: &Phase) -> Result<(), Failure> {
        let own_rate = match phase.load {
            Load::Open { shape, unit: Rate::PerSecond, .. } => shape.rate(),
            _ => 200.0,
        };
        if phase.streams > 0 {
            self.draft.note("the search for the peak held no streams open");
        }
        // A known capacity of a closed loop is near the peak, and above it.
        let begin = self.peak.map_or(own_rate, |peak| peak * 0.75);
        let (mut search, mut tries) = (Search::new(begin, EXACT, WINDOWS), Vec::new());
        while let Some(per_second) = search.next() {
            let window = Phase {
                name: format!("{per_second:.0} /s"),
                seconds: WINDOW.0,
                warm_up: WINDOW.1,
                load: Load::Open {
                    shape: Shape::Flat { rate: per_second },
                    unit: Rate::PerSecond,
                    even: false,
                },
                sets_peak: false,
                // They would have to be gathered for every window again.
                streams: 0,
                ..phase.clone()
            };
            let part = Part::Window(self.windows);
            self.windows += 1;
            let Some(seen) = self.load(&window, part).await? else { break };
            let seen = self.written(seen, 0).await;
            if self.world.stop.is_asked() {
                break;
            }
            let (kept, why) = judge(&seen, &phase.objectives);
            eprintln!("{per_second:.0} /s: {}, {why}", if kept { "kept" } else { "missed" });
            tries.push(model::Try { per_second, kept, why });
            search.tried(kept);
        }
        let per_second = search.highest().unwrap_or_default();
        self.draft.peak(model::Peak { per_second, tries });
        if per_second == 0.0 && !self.world.stop.is_asked() {
            let what = "there is no rate that keeps the objectives: see the tries in the report";
            return Err(Failure::Other(what.to_owned()));
        }
        self.peak = Some(per_second);
        Ok(())
    }
}

/// How the generator was in the way.
fn bound(generator: &model::Generator) -> String {
    if written::is_busy(generator) {
        return format!("the generator's thread was busy {:.0} % of the time", generator.busy * 100.0);
    }
    format!("the generator was {:.1} ms late", generator.late_ms.p99)
}

/// Orders per second, or requests where there are no orders.
fn peak_of(phase: &model::Phase) -> f64 {
    let orders = phase.orders.per_second_completed;
    if orders > 0.0 { orders } else { phase.requests.per_second }
}

/// Whether a window kept the objectives, and what decided it.
fn judge(seen: &model::Phase, wanted: &BTreeMap<String, f64>) -> (bool, String) {
    // How many there are is what is searched, and the streams that are held open beside a phase are not there.
    let of_streams = |name: &str| name.starts_with("streams.") || name.starts_with("figures.");
    let wanted: BTreeMap<String, f64> = wanted
        .iter()
        .filter(|(name, _)| !name.contains("per_second") && !name.ends_with("of_peak") && !of_streams(name))
        .map(|(name, wanted)| (name.clone(), *wanted))
        .collect();
    let requests = &seen.requests;
    let answered = (requests.count - requests.refused - requests.unexpected) as f64;
    if answered < ANSWERED * requests.count as f64 {
        let what =
            format!("{} of {} requests refused or failed", requests.count - answered as u64, requests.count);
        return (false, what);
    }
    if seen.generator.bound {
        return (false, bound(&seen.generator));
    }
    let verdicts = objectives::judge(seen, &wanted);
    let told = |verdict: &model::Verdict| match verdict.measured {
        Some(measured) => format!("{} was {measured:.1} of {:.1}", verdict.objective, verdict.wanted),
        None => format!("{} was not measured", verdict.objective),
    };
    if let Some(missed) = verdicts.iter().find(|verdict| !verdict.kept) {
        return (false, told(missed));
    }
    // What was nearest to its limit.
    let share = |verdict: &&model::Verdict| verdict.measured.unwrap_or_default() / verdict.wanted.max(1e-9);
    let nearest =
        verdicts.iter().filter(|verdict| verdict.wanted > 0.0).max_by(|a, b| share(a).total_cmp(&share(b)));
    (true, nearest.map_or_else(|| "kept".to_owned(), told))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::measure::histogram::Quantiles;

    #[test]
    fn a_search_does_not_change_what_the_phases_ask_for() {
        let seeds: Vec<u64> = (0..3).map(|number| Part::Phase(number).seed(7)).collect();
        assert_eq!(seeds, (0..3).map(|number| mix(7, number)).collect::<Vec<_>>());
        assert!((0..3).all(|number| !seeds.contains(&Part::Window(number).seed(7))));
        assert_ne!(Part::Phase(1).name(), Part::Window(1).name(), "idempotency keys are used once");
    }

    #[test]
    fn a_window_is_not_judged_by_streams_that_it_does_not_hold() {
        let seen = model::Phase {
            requests: model::Requests { count: 100, good: 100, ..model::Requests::default() },
            ..model::Phase::default()
        };
        let wanted = |name: &str| BTreeMap::from([(name.to_owned(), 20.0)]);
        for name in ["streams.most", "figures.platform_kb_per_stream", "orders.per_second"] {
            assert!(judge(&seen, &wanted(name)).0, "{name}");
        }
        assert!(!judge(&seen, &wanted("order.p99_ms")).0);
    }

    #[test]
    fn a_window_that_the_generator_lost_says_how() {
        let window = |busy, p99| model::Phase {
            requests: model::Requests { count: 100, good: 100, ..model::Requests::default() },
            generator: model::Generator {
                busy,
                late_ms: Quantiles { p99, ..Quantiles::default() },
                bound: true,
            },
            ..model::Phase::default()
        };
        let why = |busy, p99| judge(&window(busy, p99), &BTreeMap::new()).1;
        assert_eq!(why(0.95, 2.0), "the generator's thread was busy 95 % of the time");
        assert_eq!(why(0.3, 30.0), "the generator was 30.0 ms late");
    }
}
