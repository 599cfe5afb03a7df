//! The figures that experiments have expectations of, measured from what a run left behind.
//!
//! Times are those of the rig's own clock wherever a platform's clock may have been moved. A figure without anything to
//! measure it by is absent, and an expectation of it is not met.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::Event as _;
use viscount_contracts::events::orders::v1::{OrderCancelled, OrderCompleted, OrderRejected};

mod deadlines;
mod streams;
#[cfg(test)]
mod tests;

use deadlines::Expiries;

use super::sampler::Sample;
use crate::{
    audit::Dataset,
    clients::{LoadFigures, Round},
    history::{Call, GIVEN_UP, Line, Operation, Outcome, Stream},
};

/// So long after the load begins it counts as even; what came before warmed up.
const WARM: f64 = 2.0;
/// So long after a fault its consequences are counted as its own.
const AFTERMATH: f64 = 5.0;

/// A fault as it has happened; seconds since the load began.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Happened {
    /// What was done, such as `kill`.
    pub what: String,
    /// When.
    pub begun: f64,
    /// When it was undone.
    pub ended: f64,
    /// Whether it was the provider that was away altogether.
    pub provider_down: bool,
    /// Whether it went as planned.
    pub done: bool,
}

/// What figures are measured from.
pub(super) struct Evidence<'a> {
    /// What came of the load.
    pub load: &'a LoadFigures,
    /// What the services said.
    pub samples: &'a [Sample],
    /// What was done to them.
    pub faults: &'a [Happened],
    /// What they left behind, and what clients saw.
    pub data: &'a Dataset,
    /// When the load began, and when it ended.
    pub load_began: Timestamp,
    /// When the load ended.
    pub load_ended: Timestamp,
    /// Whether the times of events are those of clocks that were moved.
    pub clocks_moved: bool,
    /// Whether dead letters were handed back to their consumers; `None` when that was not tried.
    pub redriven: Option<bool>,
    /// How long an order waits until it is cancelled, where the experiment says so.
    pub deadline: Option<Duration>,
}

impl Evidence<'_> {
    /// All that can be measured, by name.
    pub fn figures(&self) -> BTreeMap<&'static str, f64> {
        let truth = |truth: bool| if truth { 1.0 } else { 0.0 };
        // A restarted process counts from nothing, and what was handled again is no letter any more.
        let told = self.samples.iter().map(|sample| sample.letters).sum::<u64>();
        let letters = (self.data.letters.len() as f64).max(told as f64);
        let expiries = self.expiries();
        let expired = |count: fn(&Expiries) -> Option<f64>| expiries.as_ref().and_then(count);
        let measured = [
            ("accepted_min", Some(self.accepted())),
            ("accepted_during_fault_min", self.accepted_during_faults()),
            ("refused_during_fault_min", Some(self.refused_during_faults())),
            ("unanswered_during_fault_min", Some(self.unanswered_during_faults())),
            ("turned_away_min", Some(self.turned_away())),
            ("offered_min", Some(self.offered())),
            ("late_max", self.late()),
            ("standstill_min", self.standstill()),
            ("rounds_min", Some(self.rounds())),
            ("max_unknown_share", self.share(self.load.unanswered.len() as u64)),
            ("max_refused_share", self.share(self.load.refused)),
            ("only_retriable", Some(truth(self.only_retriable()))),
            ("p99_ratio_max", self.p99_ratio()),
            ("pause_p99_max", self.pause_p99()),
            ("recovered_within", self.recovered_within()),
            ("each_failpoint_hit", self.each("failpoint").map(truth)),
            ("all_final_within", self.all_final_within()),
            ("drained_within", self.drained_within()),
            ("breaker_open_within", self.breaker_open_within()),
            ("probes_max", self.probes()),
            ("dead_letters", Some(letters)),
            ("dead_letters_min", Some(letters)),
            ("redriven", self.redriven.map(|redriven| truth(redriven && self.data.letters.is_empty()))),
            ("exactly_sold", self.sold()),
            ("expired_min", expired(|expiries| Some(expiries.seen))),
            ("early_expiries", expired(|expiries| Some(expiries.early))),
            ("late_expiries", expired(|expiries| expiries.late)),
            ("clock_skew_min", self.clock_skew()),
            ("open_streams_min", Some(f64::from(self.load.most_open_streams))),
            ("frames_min", Some(self.frames())),
            ("streams_p99_max", self.streams_p99()),
            (
                "actor_restarts_min",
                Some(self.samples.iter().map(|sample| sample.restarts).sum::<u64>() as f64),
            ),
            ("process_starts_min", Some(self.process_starts() as f64)),
            ("same_answer", self.same_answer().map(truth)),
        ];
        measured.into_iter().filter_map(|(name, figure)| Some((name, figure?))).collect()
    }

    /// How often a process was started again.
    pub fn process_starts(&self) -> usize {
        let starts = ["kill", "restart", "restart_postgres", "failpoint"];
        self.faults.iter().filter(|fault| fault.done && starts.contains(&fault.what.as_str())).count()
    }

    fn share(&self, of: u64) -> Option<f64> {
        let all = self.operations().count();
        (all > 0).then(|| of as f64 / all as f64)
    }

    fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.data.history.iter().filter_map(|line| match line {
            Line::Operation(operation) => Some(operation),
            Line::Stream(_) => None,
        })
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.data.history.iter().filter_map(|line| match line {
            Line::Stream(stream) => Some(stream),
            Line::Operation(_) => None,
        })
    }

    /// Seconds since the load began.
    fn since(&self, at: Timestamp) -> f64 {
        at.duration_since(self.load_began).as_secs_f64()
    }

    fn first_fault(&self) -> Option<f64> {
        self.faults.iter().map(|fault| fault.begun).min_by(f64::total_cmp)
    }

    fn last_fault(&self) -> Option<f64> {
        self.faults.iter().map(|fault| fault.ended).max_by(f64::total_cmp)
    }

    fn in_fault(&self, at: f64) -> bool {
        self.faults.iter().any(|fault| (fault.begun..=fault.ended).contains(&at))
    }

    /// When each order was accepted for the first time, in order, and how long that answer took.
    fn acceptances(&self) -> Vec<(f64, f64)> {
        let mut first: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for operation in self.operations() {
            if let (Call::PlaceOrder { key, .. }, Outcome::Ok { .. }) = (&operation.call, &operation.outcome)
            {
                let ended = self.since(operation.ended);
                let took = operation.ended.duration_since(operation.begun).as_secs_f64();
                let known = first.entry(key).or_insert((ended, took));
                if ended < known.0 {
                    *known = (ended, took);
                }
            }
        }
        let mut all: Vec<_> = first.into_values().collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    /// Orders per second in these seconds, by whether a fault lasted.
    fn rate(&self, wanted: impl Fn(f64) -> bool) -> Option<f64> {
        let seconds: Vec<_> =
            self.load.seconds.iter().filter(|second| wanted(f64::from(second.second))).collect();
        let accepted: u32 = seconds.iter().map(|second| second.accepted).sum();
        (!seconds.is_empty()).then(|| f64::from(accepted) / seconds.len() as f64)
    }

    fn rate_before(&self) -> Option<f64> {
        let first = self.first_fault()?;
        self.rate(|second| second >= WARM && second + 1.0 <= first)
    }

    fn accepted_during_faults(&self) -> Option<f64> {
        let during = self.rate(|second| self.in_fault(second) && self.in_fault(second + 1.0))?;
        Some(during / self.rate_before().filter(|rate| *rate > 0.0)?)
    }

    fn refused_during_faults(&self) -> f64 {
        let seconds = self.load.seconds.iter().filter(|second| self.in_fault(f64::from(second.second)));
        seconds.map(|second| f64::from(second.refused)).sum()
    }

    /// While the load went on: what was asked once more when all was over is no proof of anything.
    fn accepted(&self) -> f64 {
        self.load.seconds.iter().map(|second| f64::from(second.accepted)).sum()
    }

    /// Without those that the rig itself gave up.
    fn unanswered_during_faults(&self) -> f64 {
        let without = self.operations().filter(|operation| match &operation.outcome {
            Outcome::Unknown { status: None, why, .. } => why != GIVEN_UP,
            Outcome::Unknown { .. } | Outcome::Refused { status: 408 | 425 | 429, .. } => true,
            Outcome::Ok { .. } | Outcome::Refused { .. } => false,
        });
        without.filter(|operation| self.in_fault(self.since(operation.ended))).count() as f64
    }

    /// While the load went on.
    fn turned_away(&self) -> f64 {
        let told = self.operations().filter(|operation| match &operation.outcome {
            Outcome::Refused { status, .. } => *status == 429,
            Outcome::Unknown { status, retriable, .. } => *status == Some(503) && *retriable,
            Outcome::Ok { .. } => false,
        });
        told.filter(|operation| operation.ended <= self.load_ended).count() as f64
    }

    /// Orders that were asked for while the load went on. Who waits in the rig for a place to ask is none of them.
    fn offered(&self) -> f64 {
        let asked = self.operations().filter(|operation| operation.begun <= self.load_ended);
        let keys: BTreeSet<_> = asked
            .filter_map(|operation| match &operation.call {
                Call::PlaceOrder { buyer, key, .. } => Some((buyer, key)),
                _ => None,
            })
            .collect();
        keys.len() as f64
    }

    fn late(&self) -> Option<f64> {
        let visits = self.load.visits;
        (visits > 0).then(|| self.load.late as f64 / visits as f64)
    }

    /// Whole seconds, by what clients saw.
    fn standstill(&self) -> Option<f64> {
        self.first_fault()?;
        let (mut longest, mut now) = (0.0_f64, 0.0);
        for second in &self.load.seconds {
            let at = f64::from(second.second);
            let stands = second.completed == 0 && self.in_fault(at) && self.in_fault(at + 1.0);
            now = if stands { now + 1.0 } else { 0.0 };
            longest = longest.max(now);
        }
        Some(longest)
    }

    fn rounds(&self) -> f64 {
        let whole = |round: &&Round| round.answered == round.asked && round.open == 0;
        self.load.rounds.iter().filter(whole).count() as f64
    }

    fn recovered_within(&self) -> Option<f64> {
        let (last, usual) = (self.last_fault()?, self.rate_before()?);
        let back =
            self.load.seconds.iter().find(|second| {
                f64::from(second.second) >= last && f64::from(second.accepted) >= usual / 2.0
            })?;
        Some(f64::from(back.second) + 1.0 - last)
    }

    fn only_retriable(&self) -> bool {
        self.operations().all(|operation| match &operation.outcome {
            Outcome::Ok { .. } | Outcome::Refused { .. } => true,
            // Nobody knows what would have come.
            Outcome::Unknown { status: None, why, .. } if why == GIVEN_UP => true,
            Outcome::Unknown { status, retriable, .. } => *status == Some(503) && *retriable,
        })
    }

    fn p99_ratio(&self) -> Option<f64> {
        let first = self.first_fault()?;
        let took = |wanted: &dyn Fn(f64) -> bool| {
            let of = self.acceptances().into_iter().filter(|(ended, took)| wanted(ended - took));
            quantile(of.map(|(_, took)| took).collect(), 0.99)
        };
        let before = took(&|begun| begun >= WARM && begun < first)?;
        let during = took(&|begun| {
            self.faults.iter().any(|fault| (fault.begun..=fault.ended + AFTERMATH).contains(&begun))
        })?;
        Some(during / before)
    }

    /// A pause goes on until the next accepted order, or the end of the load where none came any more.
    fn pause_p99(&self) -> Option<f64> {
        let mut accepted = vec![0.0];
        accepted.extend(self.acceptances().into_iter().map(|(at, _)| at));
        let pauses = self.faults.iter().filter_map(|fault| {
            let (from, to) = (fault.begun, fault.ended + AFTERMATH);
            let before = accepted.partition_point(|at| *at < from).saturating_sub(1);
            let within = accepted.partition_point(|at| *at <= to);
            let mut around = accepted.get(before..within)?.to_vec();
            let over = self.since(self.load_ended).max(*around.last()?);
            around.push(accepted.get(within).copied().unwrap_or(over));
            around.windows(2).map(|two| two[1] - two[0]).max_by(f64::total_cmp)
        });
        quantile(pauses.collect(), 0.99)
    }

    /// `None` without such faults.
    fn each(&self, what: &str) -> Option<bool> {
        let mut of = self.faults.iter().filter(|fault| fault.what == what).peekable();
        of.peek().is_some().then(|| of.all(|fault| fault.done))
    }

    /// By the events' own times, or by when clients saw it where these say nothing.
    fn all_final_within(&self) -> Option<f64> {
        let load = self.load;
        if !load.not_final.is_empty() || !load.unread.is_empty() || !load.unanswered.is_empty() {
            return None;
        }
        if self.clocks_moved {
            return Some(load.last_final?.duration_since(self.load_ended).as_secs_f64().max(0.0));
        }
        let ends = [OrderCompleted::KIND, OrderRejected::KIND, OrderCancelled::KIND];
        let last = self
            .data
            .events
            .iter()
            .filter(|event| ends.contains(&event.kind.as_ref()))
            .map(|event| event.at)
            .max()?;
        Some(last.duration_since(self.load_ended).as_secs_f64().max(0.0))
    }

    fn drained_within(&self) -> Option<f64> {
        let last = self.last_fault()?;
        let mut after = self.samples.iter().filter(|sample| sample.at >= last);
        // What was asked in the second of the fault's end may have been said before it.
        let drained = after.find(|sample| sample.is_drained())?;
        Some(drained.at - last)
    }

    fn breaker_open_within(&self) -> Option<f64> {
        let away = self.faults.iter().find(|fault| fault.provider_down)?;
        let open = self.samples.iter().find(|sample| sample.at >= away.begun && sample.open == Some(true))?;
        Some(open.at - away.begun)
    }

    /// The most calls in a second at whose begin and end the breaker was open, while the provider was away.
    fn probes(&self) -> Option<f64> {
        let away = self.faults.iter().find(|fault| fault.provider_down)?;
        let pairs = self.samples.windows(2).filter(|two| {
            two.iter()
                .all(|sample| (away.begun..=away.ended).contains(&sample.at) && sample.open == Some(true))
        });
        pairs.map(|two| two[1].calls as f64).max_by(f64::total_cmp)
    }

    /// The pieces sold of a product of which more was wanted than there was: of the one that is furthest from selling what
    /// there was.
    fn sold(&self) -> Option<f64> {
        #[derive(Default)]
        struct Pieces {
            received: i64,
            wanted: i64,
            sold: i64,
        }
        let mut products: BTreeMap<Uuid, Pieces> = BTreeMap::new();
        for movement in &self.data.movements {
            let pieces = products.entry(movement.product).or_default();
            match movement.kind.as_str() {
                "receipt" => pieces.received += movement.on_hand,
                "sell" => pieces.sold -= movement.on_hand,
                _ => {}
            }
        }
        let mut asked = BTreeMap::new();
        for operation in self.operations() {
            if let (Call::PlaceOrder { key, lines, .. }, Outcome::Ok { .. }) =
                (&operation.call, &operation.outcome)
            {
                asked.insert(key, lines);
            }
        }
        for line in asked.into_values().flatten() {
            products.entry(line.product).or_default().wanted += i64::from(line.quantity);
        }
        let contended =
            products.values().filter(|pieces| pieces.wanted > pieces.received && pieces.received > 0);
        let worst = contended.max_by_key(|pieces| pieces.sold.abs_diff(pieces.received))?;
        Some(worst.sold as f64)
    }

    /// By the history and not by rounds: the end of the load may cut one off, whose answers come all the same.
    fn same_answer(&self) -> Option<bool> {
        let mut first = BTreeMap::new();
        let mut same = None;
        for operation in self.operations() {
            if let (Call::PlaceOrder { key, .. }, Outcome::Ok { body, .. }) =
                (&operation.call, &operation.outcome)
            {
                let is_first = *first.entry(key).or_insert(body) == body;
                same = Some(same.unwrap_or(true) && is_first);
            }
        }
        same
    }
}

/// `None` of nothing.
fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(at).copied()
}
