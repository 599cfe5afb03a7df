//! The figures of a run, for people and for machines.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, Write},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;
use viscount_contracts::OrderId;

use crate::{
    args::Args,
    follow::Followed,
    load::Load,
    processes::{Usage, Use},
};

/// The most lost or unfinished orders that are named.
const NAMED: usize = 20;

/// Everything that a run has found out.
#[derive(Debug, Serialize)]
pub struct Figures {
    clients: u32,
    seed: u64,
    load_seconds: f64,
    accepted: u64,
    accepted_per_second: f64,
    completed: u64,
    /// From the first order's creation to the last one's final status, by the platform's clock.
    until_all_final_seconds: f64,
    completed_per_second: f64,
    answers: BTreeMap<u16, u64>,
    problems: BTreeMap<String, u64>,
    broken: BTreeMap<String, u64>,
    statuses: BTreeMap<String, u64>,
    post_millis: Quantiles,
    created_to_final_millis: Quantiles,
    lost: u64,
    not_final: u64,
    late: u64,
    unanswered: u64,
    repeated: u64,
    strangers: u64,
    named: Vec<OrderId>,
    platform: Option<Resources>,
    postgres: Option<Resources>,
    harness: Option<Resources>,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct Resources {
    processes: usize,
    cpu_seconds: f64,
    cpu_millis_per_order: f64,
    memory_mib: f64,
}

impl Figures {
    /// Puts everything together.
    pub fn new(args: &Args, load: Load, loaded: Duration, followed: Followed, used: Usage) -> Self {
        let accepted = load.accepted.len() as u64;
        let completed = followed.statuses.get("completed").copied().unwrap_or_default();
        let per_second = |count: u64, time: Duration| count as f64 / time.as_secs_f64().max(1e-9);
        let resources = |used: Use| {
            (used.processes > 0).then(|| Resources {
                processes: used.processes,
                cpu_seconds: used.cpu_seconds,
                cpu_millis_per_order: used.cpu_seconds * 1e3 / accepted.max(1) as f64,
                memory_mib: used.memory_mib,
            })
        };
        Self {
            clients: args.clients,
            seed: args.seed,
            load_seconds: loaded.as_secs_f64(),
            accepted,
            accepted_per_second: per_second(accepted, loaded),
            completed,
            until_all_final_seconds: followed.span.as_secs_f64(),
            completed_per_second: per_second(completed, followed.span.max(loaded)),
            answers: load.statuses,
            problems: load.problems,
            broken: load.broken,
            statuses: followed.statuses,
            post_millis: Quantiles::of(&load.latency),
            created_to_final_millis: Quantiles::of(&followed.latency),
            lost: followed.lost.len() as u64,
            not_final: followed.in_motion.len() as u64,
            late: followed.late,
            unanswered: load.unanswered,
            repeated: load.repeated,
            strangers: followed.strangers,
            named: followed.lost.iter().chain(&followed.in_motion).take(NAMED).copied().collect(),
            platform: resources(used.platform),
            postgres: resources(used.postgres),
            harness: resources(used.own),
        }
    }

    /// True when every accepted order is there and final in time, no two requests became one order, and there are no
    /// more orders than requests.
    pub fn is_good(&self) -> bool {
        let none = self.lost + self.not_final + self.late + self.repeated == 0;
        none && self.strangers <= self.unanswered && self.accepted > 0
    }

    /// As JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For people.
    pub fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{} clients, {:.1} s of load, seed {}", self.clients, self.load_seconds, self.seed)?;
        writeln!(out, "accepted         {:>9}   {:>9.1} /s", self.accepted, self.accepted_per_second)?;
        writeln!(
            out,
            "completed        {:>9}   {:>9.1} /s   (all final {:.1} s after the first was created)",
            self.completed, self.completed_per_second, self.until_all_final_seconds
        )?;
        writeln!(out, "POST to 201      {}", self.post_millis)?;
        writeln!(out, "created to final {}", self.created_to_final_millis)?;
        row(out, "answers", &self.answers)?;
        row(out, "orders are", &self.statuses)?;
        row(out, "problems", &self.problems)?;
        row(out, "no answer", &self.broken)?;
        for (name, used) in
            [("platform", &self.platform), ("postgres", &self.postgres), ("this harness", &self.harness)]
        {
            let Some(used) = used else { continue };
            writeln!(
                out,
                "{name:<16} {:>9.2} s CPU ({:.3} ms per accepted order), {:.0} MiB in {} process{}",
                used.cpu_seconds,
                used.cpu_millis_per_order,
                used.memory_mib,
                used.processes,
                if used.processes == 1 { "" } else { "es" }
            )?;
        }
        if self.is_good() {
            writeln!(out, "every accepted order is there and was final in time")?;
            return Ok(());
        }
        writeln!(
            out,
            "NOT GOOD: {} lost, {} not final, {} final too late, {} keys that share an order, {} unanswered, {} orders nobody saw accepted",
            self.lost, self.not_final, self.late, self.repeated, self.unanswered, self.strangers
        )?;
        for order in &self.named {
            writeln!(out, "  {order}")?;
        }
        Ok(())
    }
}

fn row<K: Display>(out: &mut impl Write, name: &str, counts: &BTreeMap<K, u64>) -> io::Result<()> {
    if !counts.is_empty() {
        let counts: Vec<_> = counts.iter().map(|(key, count)| format!("{key}: {count}")).collect();
        writeln!(out, "{name:<16} {}", counts.join(", "))?;
    }
    Ok(())
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self { p50: at(0.50), p95: at(0.95), p99: at(0.99), max: histogram.max() as f64 / 1e3 }
    }
}

impl Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.1}  p95 {:.1}  p99 {:.1}  max {:.1} ms", self.p50, self.p95, self.p99, self.max)
    }
}
