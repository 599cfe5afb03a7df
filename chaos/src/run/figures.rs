//! The figures that experiments have expectations of, measured from what a run left behind.
//!
//! Times are those of the rig's own clock wherever a platform's clock may have been moved. A figure without anything to
//! measure it by is absent, and an expectation of it is not met.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::Event as _;
use viscount_contracts::events::orders::v1::{OrderCancelled, OrderCompleted, OrderRejected};

use super::sampler::Sample;
use crate::{
    audit::Dataset,
    clients::LoadFigures,
    history::{Call, Line, Operation, Outcome, Stream},
};

/// So long after the load begins it counts as even; what came before warmed up.
const WARM: f64 = 2.0;
/// So long after a fault its consequences are counted as its own.
const AFTERMATH: f64 = 5.0;
/// So much later than its time a deadline may be kept.
const LATE: Duration = Duration::from_secs(15);
/// So much earlier clocks of two processes on one machine may see it.
const EARLY: Duration = Duration::from_secs(1);

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
        let (early, late) = self.expiries().unzip();
        let measured = [
            ("accepted_min", Some(self.load.accepted as f64)),
            ("accepted_during_fault_min", self.accepted_during_faults()),
            ("refused_during_fault_min", Some(self.refused_during_faults())),
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
            ("early_expiries", early),
            ("late_expiries", late),
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

    fn pause_p99(&self) -> Option<f64> {
        let accepted = self.acceptances();
        let pauses = self.faults.iter().filter_map(|fault| {
            let (from, to) = (fault.begun, fault.ended + AFTERMATH);
            let first = accepted.partition_point(|(at, _)| *at < from).saturating_sub(1);
            let around: Vec<f64> =
                accepted.iter().skip(first).map(|(at, _)| *at).take_while(|at| *at <= to).collect();
            around.windows(2).map(|two| two[1] - two[0]).max_by(f64::total_cmp)
        });
        quantile(pauses.collect(), 0.99)
    }

    /// `None` without such faults.
    fn each(&self, what: &str) -> Option<bool> {
        let mut of = self.faults.iter().filter(|fault| fault.what == what).peekable();
        of.peek().is_some().then(|| of.all(|fault| fault.done))
    }

    fn all_final_within(&self) -> Option<f64> {
        if !self.load.not_final.is_empty() || !self.load.unanswered.is_empty() {
            return None;
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

    /// Orders that their deadline has cancelled before its time, and long after it, by the clock of the clients: from
    /// the answer that accepted an order to the frame that told of its end.
    fn expiries(&self) -> Option<(f64, f64)> {
        let deadline = self.deadline?;
        let mut accepted: BTreeMap<Uuid, Timestamp> = BTreeMap::new();
        for operation in self.operations() {
            if let (Call::PlaceOrder { .. }, Outcome::Ok { body, .. }) = (&operation.call, &operation.outcome)
                && let Some(order) = body["id"].as_str().and_then(|id| id.parse().ok())
            {
                let first = accepted.entry(order).or_insert(operation.ended);
                *first = (*first).min(operation.ended);
            }
        }
        let cancelled = |event: &&crate::audit::Event| event.kind == OrderCancelled::KIND;
        let by_deadline = self.data.events.iter().filter(cancelled).filter(|event| {
            <OrderCancelled as prost::Message>::decode(&event.data[..])
                .is_ok_and(|cancelled| cancelled.cancelled_by == "deadline")
        });
        let expired: BTreeMap<Uuid, i32> = by_deadline.map(|event| (event.stream, event.version)).collect();
        let (mut early, mut late) = (0, 0);
        let mut seen = BTreeMap::new();
        for stream in self.streams() {
            let Some(version) = expired.get(&stream.order) else { continue };
            let frame =
                stream.frames.iter().find(|frame| i64::try_from(frame.version) == Ok(i64::from(*version)));
            if let Some(frame) = frame {
                let first = seen.entry(stream.order).or_insert(frame.at);
                *first = (*first).min(frame.at);
            }
        }
        for (order, at) in seen {
            let Some(accepted) = accepted.get(&order) else { continue };
            let waited = at.duration_since(*accepted).unsigned_abs();
            early += u32::from(waited + EARLY < deadline);
            late += u32::from(waited > deadline + LATE);
        }
        Some((f64::from(early), f64::from(late)))
    }

    /// From an event's commit to its frame, on connections that were open by then.
    fn streams_p99(&self) -> Option<f64> {
        let events =
            self.data.events.iter().filter(|event| event.service == viscount_contracts::Topic::Orders);
        let at: BTreeMap<(Uuid, i64), Timestamp> =
            events.map(|event| ((event.stream, i64::from(event.version)), event.at)).collect();
        let mut took = Vec::new();
        for stream in self.streams() {
            for frame in &stream.frames {
                let version = i64::try_from(frame.version).unwrap_or(i64::MAX);
                let Some(event) = at.get(&(stream.order, version)) else { continue };
                if *event > stream.begun {
                    took.push(frame.at.duration_since(*event).as_secs_f64());
                }
            }
        }
        quantile(took, 0.99)
    }
}

/// `None` of nothing.
fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(at).copied()
}
