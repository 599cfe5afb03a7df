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
/// The most windows.
const WINDOWS: u32 = 12;
/// How exactly the peak is wanted.
const EXACT: f64 = 0.05;
/// In a window that keeps up so many of a hundred requests are answered well.
const ANSWERED: f64 = 0.99;

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
    /// How many phases and windows there have been.
    pub number: u64,
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
        let seen = self.load(phase).await?;
        self.waiting.push(seen);
        if phase.settle || self.world.stop.is_asked() {
            self.settle().await?;
        }
        Ok(())
    }

    /// Makes a phase's load.
    async fn load(&mut self, phase: &Phase) -> Result<Seen, Failure> {
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
        let crowd = crowd::gather(&self.world, phase, self.components, &board).await?;
        let seed = mix(self.seed, self.number);
        let running = Running {
            world: self.world.clone(),
            recorder: recorder.clone(),
            board: board.clone(),
            phase: Rc::new(phase.clone()),
            chooser: Rc::new(Chooser::new(phase, seed)),
            name: self.number.to_string(),
            seed,
        };
        self.number += 1;
        let load = words::load(phase, unit);
        let live =
            self.live.then(|| live::phase(&phase.name, &load, phase.seconds, &recorder, Some(&self.sampler)));
        let driven = match (&phase.load, self.replay) {
            (Load::Replay, Some(replay)) => {
                recorder.begin();
                let driven = replay
                    .drive(&self.world.target, &self.world.customers, &recorder, &self.world.stop)
                    .await;
                recorder.end();
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
        Ok(Seen { phase: phase.clone(), load, recorder, extra, driven })
    }

    /// Waits for the orders of the phases that are over, and writes what they were.
    pub async fn settle(&mut self) -> Result<(), Failure> {
        let all = std::mem::take(&mut self.waiting);
        let orders: Vec<u64> = all.iter().map(|seen| seen.recorder.orders().len() as u64).collect();
        for (number, seen) in all.into_iter().enumerate() {
            let sets_peak = seen.phase.sets_peak;
            // Orders of the phases that followed at once are in the history too, and not unknown.
            let later = orders[number + 1..].iter().sum();
            let wanted = seen.phase.objectives.clone();
            let phase = self.written(seen, later).await?;
            let phase = self.draft.phase(phase, &wanted);
            if sets_peak {
                self.peak = Some(peak_of(phase));
            }
        }
        Ok(())
    }

    /// The part of the report, when the orders are final.
    async fn written(&self, mut seen: Seen, later: u64) -> Result<model::Phase, Failure> {
        let orders = !seen.recorder.orders().is_empty();
        let finals = if orders {
            let within = Duration::from_secs_f64(seen.phase.final_within);
            // An interrupted run does not wait for long.
            let within = if self.world.stop.is_asked() { within.min(super::GRACE) } else { within };
            let mut finals =
                finals::follow(&self.world.target, &self.world.customers, &seen.recorder, within).await;
            finals.unknown = finals.unknown.saturating_sub(later);
            Some(finals)
        } else {
            None
        };
        if let (Some(driven), Some(replay)) = (seen.driven.take(), self.replay) {
            self.reconciled(replay, driven, &mut seen.extra).await?;
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
        Ok(phase)
    }

    /// The file's books and the platform's.
    async fn reconciled(
        &self,
        replay: &Replay,
        driven: Driven,
        told: &mut model::Phase,
    ) -> Result<(), Failure> {
        let outcome = replay.reconcile(&self.world.target, &self.world.customers, driven).await?;
        told.figures.extend(outcome.figures().into_iter().map(|(name, figure)| (name.to_owned(), figure)));
        told.tables.extend(outcome.tables());
        told.notes.extend(outcome.notes);
        Ok(())
    }

    /// Searches the highest rate at which this phase's journeys keep its objectives.
    pub async fn search(&mut self, phase: &Phase) -> Result<(), Failure> {
        let own_rate = match phase.load {
            Load::Open { shape, unit: Rate::PerSecond, .. } => shape.rate(),
            _ => 200.0,
        };
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
                ..phase.clone()
            };
            let seen = self.load(&window).await?;
            let seen = self.written(seen, 0).await?;
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

/// Orders per second, or requests where there are no orders.
fn peak_of(phase: &model::Phase) -> f64 {
    let orders = phase.orders.per_second_completed;
    if orders > 0.0 { orders } else { phase.requests.per_second }
}

/// Whether a window kept the objectives, and what decided it.
fn judge(seen: &model::Phase, wanted: &BTreeMap<String, f64>) -> (bool, String) {
    // How many there are is what is searched.
    let wanted: BTreeMap<String, f64> = wanted
        .iter()
        .filter(|(name, _)| !name.contains("per_second") && !name.ends_with("of_peak"))
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
        return (false, format!("the generator was {:.1} ms late", seen.generator.late_ms.p99));
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
