//! The figures of a run as text.

use std::fmt::Write as _;

use super::{
    model::{Baseline, Component, Phase, Ratio, Report, Verdict},
    objectives::{WITHOUT_SAYING, goes_without_saying},
    text::{clock, count, figure, percent, row, table},
};

/// Everything that fits a terminal.
pub fn summary(report: &Report) -> String {
    let mut out = String::new();
    let meta = &report.meta;
    let partial = match (meta.partial, meta.failed) {
        (false, _) => "",
        (true, false) => ", INTERRUPTED: this is what was measured until then",
        (true, true) => ", FAILED (see the notes): this is what was measured until then",
    };
    let _ = writeln!(out, "\n{}, seed {}, {} of load{partial}", meta.profile, meta.seed, clock(meta.seconds));
    for phase in &report.phases {
        out.push_str(&of_phase(phase));
    }
    if let Some(peak) = &report.peak {
        let tries: Vec<String> = peak
            .tries
            .iter()
            .map(|attempt| {
                format!("{} {}", figure(attempt.per_second), if attempt.kept { "kept" } else { "missed" })
            })
            .collect();
        let _ = writeln!(
            out,
            "\nhighest rate that keeps the objectives: {}/s ({})",
            figure(peak.per_second),
            tries.join(", ")
        );
    }
    if let Some(baseline) = &report.baseline {
        out.push_str(&of_baseline(baseline));
        out.push_str(&ratios(baseline, &report.ratios));
    }
    let objectives: Vec<(&str, &Verdict)> = report
        .phases
        .iter()
        .flat_map(|phase| phase.objectives.iter().map(|verdict| (phase.name.as_str(), verdict)))
        .collect();
    if !objectives.is_empty() {
        let missed = objectives.iter().filter(|(_, verdict)| !verdict.kept).count();
        let _ = writeln!(out, "\nobjectives: {} kept, {missed} missed", objectives.len() - missed);
        let shown = objectives.iter().filter(|(_, verdict)| !goes_without_saying(verdict));
        let shown: Vec<_> = shown.map(|(phase, verdict)| objective(phase, verdict)).collect();
        out.push_str(&table(&shown));
        if shown.len() < objectives.len() {
            let _ = writeln!(out, "  ✓ {WITHOUT_SAYING}");
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    if report.generator_bound {
        out.push_str("note: the generator itself was in the way (see the phases): the platform can do more than this says\n");
    }
    out
}

fn of_phase(phase: &Phase) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "\n{}: {}, {} (the first {} left out)",
        phase.name,
        phase.load,
        clock(phase.seconds),
        clock(phase.warm_up_seconds)
    );
    let mut rows =
        vec![row!["ms", "count", "good/s", "p50", "p90", "p99", "p99.9", "max", "refused", "failed"]];
    for (name, operation) in &phase.operations {
        let times = operation.latency_ms;
        let failed = operation.count - operation.good - operation.refused;
        rows.push(row![
            name,
            count(operation.count),
            figure(operation.per_second),
            figure(times.p50),
            figure(times.p90),
            figure(times.p99),
            figure(times.p999),
            figure(times.max),
            count(operation.refused),
            count(failed)
        ]);
    }
    let orders = &phase.orders;
    if orders.accepted > 0 {
        let times = orders.created_to_final_ms;
        rows.push(row![
            "created to completed",
            count(orders.timed),
            figure(orders.per_second_completed),
            figure(times.p50),
            figure(times.p90),
            figure(times.p99),
            figure(times.p999),
            figure(times.max)
        ]);
    }
    if let Some(streams) = &phase.streams {
        let times = streams.delivery_ms;
        rows.push(row![
            "event to client",
            count(streams.messages),
            figure(streams.messages as f64 / (phase.seconds - phase.warm_up_seconds).max(1e-9)),
            figure(times.p50),
            figure(times.p90),
            figure(times.p99),
            figure(times.p999),
            figure(times.max)
        ]);
    }
    out.push_str(&table(&rows));
    for (name, operation) in &phase.operations {
        for (why, times) in operation.problems.iter().chain(&operation.broken) {
            let _ = writeln!(out, "  {name}: {} × {why}", count(*times));
        }
    }
    if orders.accepted > 0 {
        let ended: Vec<String> =
            orders.statuses.iter().map(|(status, orders)| format!("{} {status}", count(*orders))).collect();
        let _ = writeln!(out, "  orders: {} accepted: {}", count(orders.accepted), ended.join(", "));
        for (figure, what) in [
            (orders.lost, "LOST"),
            (orders.not_final, "not final"),
            (orders.late, "late"),
            (orders.unseen, "not looked for: interrupted"),
            (orders.repeated, "made by two requests"),
            (orders.unknown, "made, though no client saw it accepted"),
        ] {
            if figure > 0 {
                let _ = writeln!(out, "          {} {what}", count(figure));
            }
        }
        for id in &orders.named {
            let _ = writeln!(out, "          {id}");
        }
    }
    if let Some(streams) = &phase.streams {
        let _ =
            writeln!(out, "  streams: {} at most, {} at the end", count(streams.most), count(streams.at_end));
    }
    out.push_str(&components(phase));
    for shown in &phase.tables {
        let rows: Vec<Vec<String>> =
            std::iter::once(shown.columns.clone()).chain(shown.rows.iter().cloned()).collect();
        let _ = write!(out, "  {}\n{}", shown.title, table(&rows));
        if !shown.note.is_empty() {
            let _ = writeln!(out, "  {}", shown.note);
        }
    }
    for note in &phase.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    out
}

fn components(phase: &Phase) -> String {
    if phase.components.is_empty() {
        return String::new();
    }
    let or_none = |figure_: Option<f64>| figure_.map_or_else(|| "-".to_owned(), figure);
    let cells = |name: &str, component: &Component| {
        row![
            name,
            format!("{:.2}", component.cores),
            or_none(component.cpu_us_per_order),
            or_none(component.cpu_us_per_request),
            or_none(component.memory_mib_max),
            or_none(component.memory_mib_end)
        ]
    };
    let mut rows = vec![row!["", "cores", "CPU µs/order", "CPU µs/request", "MiB most", "MiB at end"]];
    rows.extend(phase.components.iter().map(|(name, component)| cells(name, component)));
    rows.push(cells("all but the generator", &phase.platform));
    table(&rows)
}

fn of_baseline(baseline: &Baseline) -> String {
    if let Some(why) = &baseline.unavailable {
        return format!("\nbaseline: not measured: {why}\n");
    }
    let settings: Vec<String> =
        baseline.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut out = format!(
        "\nbaseline on {} ({}), {}, {} clients, {} s each\n",
        baseline.server,
        settings.join(" "),
        baseline.pgbench,
        baseline.clients,
        baseline.seconds
    );
    for half in &baseline.halves {
        let _ = writeln!(out, "  {}", half.told());
    }
    out
}

/// A baseline that was measured alone.
pub fn baseline(baseline: &Baseline) -> String {
    of_baseline(baseline) + &ratios(baseline, &[])
}

fn ratios(baseline: &Baseline, ratios: &[Ratio]) -> String {
    let mut rows = vec![row!["per second", "ours", "pgbench", "ratio", "wanted"]];
    for (name, what, bench) in [
        (
            "ratio.order_flow",
            "orders completed ÷ order flow of pgbench (4 commits each)",
            baseline.order_flow,
        ),
        ("ratio.hot_row", "hot product's orders completed ÷ single-row updates of pgbench", baseline.hot_row),
    ] {
        let ratio = ratios.iter().find(|ratio| ratio.name == name);
        let Some(bench) = bench else { continue };
        let none = || "-".to_owned();
        rows.push(row![
            what,
            ratio.map_or_else(none, |ratio| figure(ratio.ours)),
            figure(bench.per_second),
            ratio.map_or_else(none, |ratio| format!("{:.2} ×", ratio.ratio)),
            ratio.and_then(|ratio| ratio.wanted).map_or_else(none, |wanted| format!("{wanted:.2} ×"))
        ]);
    }
    if rows.len() > 1 { table(&rows) } else { String::new() }
}

fn objective(phase: &str, verdict: &Verdict) -> Vec<String> {
    let sign = if super::objectives::at_least(&verdict.objective) { "≥" } else { "≤" };
    let shown = |value: f64| {
        if verdict.objective.ends_with("_share") { percent(value) } else { figure(value) }
    };
    row![
        format!("{} {phase}: {}", if verdict.kept { "✓" } else { "✗" }, verdict.objective),
        verdict.measured.map_or_else(|| "not measured".to_owned(), shown),
        format!("{sign} {}", shown(verdict.wanted))
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{Bench, Half, Meta};

    #[test]
    fn what_failed_is_not_told_as_interrupted() {
        let told = |partial, failed| {
            summary(&Report { meta: Meta { partial, failed, ..Meta::default() }, ..Report::default() })
        };
        assert!(told(true, false).contains("INTERRUPTED") && !told(true, true).contains("INTERRUPTED"));
        assert!(told(true, true).contains("FAILED") && !told(false, false).contains("until then"));
    }

    #[test]
    fn both_halves_of_a_baseline_are_told() {
        let bench = |per_second| Bench { per_second, ..Bench::default() };
        let half = |when: &str, flow, row| Half {
            when: when.to_owned(),
            order_flow: bench(flow),
            hot_row: bench(row),
        };
        let halves = vec![half("before the load", 1_000.0, 2_000.0), half("after it", 1_200.0, 2_400.0)];
        let told = baseline(&Baseline { halves, order_flow: Some(bench(1_100.0)), ..Baseline::default() });
        for words in
            ["before the load: order flow 1000 /s, single row 2000 /s", "after it: order flow 1200", "1,100"]
        {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
