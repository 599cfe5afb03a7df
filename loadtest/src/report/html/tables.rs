//! The tables of the page.

use std::fmt::Write as _;

use super::escape;
use crate::report::{
    model::{Component, Phase, Quantiles, Report, Verdict},
    objectives::{WITHOUT_SAYING, at_least, goes_without_saying},
    text::{count, figure, percent, row},
};

/// A table whose cells are text.
fn table(out: &mut String, class: &str, head: &[&str], rows: &[Vec<String>], foot: Option<&Vec<String>>) {
    let escaped: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
    let foot: Option<Vec<String>> = foot.map(|row| row.iter().map(|cell| escape(cell)).collect());
    html_table(out, class, head, &escaped, foot.as_ref());
}

/// A table whose cells are HTML.
fn html_table(
    out: &mut String,
    class: &str,
    head: &[&str],
    rows: &[Vec<String>],
    foot: Option<&Vec<String>>,
) {
    let _ = write!(out, "<div class=\"table {class}\"><table><thead><tr>");
    for cell in head {
        let _ = write!(out, "<th>{}</th>", escape(cell));
    }
    out.push_str("</tr></thead><tbody>");
    let line = |out: &mut String, row: &Vec<String>| {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>");
    };
    rows.iter().for_each(|row| line(out, row));
    out.push_str("</tbody>");
    if let Some(row) = foot {
        out.push_str("<tfoot>");
        line(out, row);
        out.push_str("</tfoot>");
    }
    out.push_str("</table></div>");
}

/// What was wanted, and whether it was reached.
pub fn objectives(out: &mut String, report: &Report) {
    let all =
        report.phases.iter().flat_map(|phase| phase.objectives.iter().map(|verdict| (&phase.name, verdict)));
    let (silent, mut told): (Vec<_>, Vec<_>) = all.partition(|(_, verdict)| goes_without_saying(verdict));
    // What was missed comes first.
    told.sort_by_key(|(_, verdict)| verdict.kept);
    let mut rows: Vec<Vec<String>> =
        told.into_iter().map(|(phase, verdict)| objective(phase, verdict)).collect();
    if !silent.is_empty() {
        rows.push(row![WITHOUT_SAYING, "", "", "", "<span class=\"yes\">✓ kept</span>"]);
    }
    if !rows.is_empty() {
        out.push_str("<h3>Objectives</h3>");
        html_table(out, "", &["figure", "phase", "wanted", "measured", ""], &rows, None);
    }
}

fn objective(phase: &str, verdict: &Verdict) -> Vec<String> {
    let shown =
        |value: f64| if verdict.objective.ends_with("_share") { percent(value) } else { figure(value) };
    let sign = if at_least(&verdict.objective) { "≥" } else { "≤" };
    let answer = if verdict.kept {
        "<span class=\"yes\">✓ kept</span>"
    } else {
        "<span class=\"no\">✗ missed</span>"
    };
    row![
        format!("<code>{}</code>", escape(&verdict.objective)),
        escape(phase),
        format!("{sign} {}", shown(verdict.wanted)),
        verdict.measured.map_or_else(|| "not measured".to_owned(), shown),
        answer
    ]
}

/// Our figures over those of plain transactions.
pub fn ratios(out: &mut String, report: &Report) {
    let Some(baseline) = &report.baseline else { return };
    out.push_str("<h3>Against plain transactions on the same PostgreSQL server, in the same run</h3>");
    if let Some(why) = &baseline.unavailable {
        let _ = write!(out, "<ul class=\"notes\"><li>not measured: {}</li></ul>", escape(why));
        return;
    }
    let mut rows = Vec::new();
    for (name, ours, theirs, bench) in [
        (
            "ratio.order_flow",
            "orders completed",
            "pgbench: the flow as four one-row transactions",
            baseline.order_flow,
        ),
        (
            "ratio.hot_row",
            "hot product's orders completed",
            "pgbench: updates of a single row",
            baseline.hot_row,
        ),
    ] {
        let Some(bench) = bench else { continue };
        let ratio = report.ratios.iter().find(|ratio| ratio.name == name);
        let most = ratio.map_or(bench.per_second, |ratio| ratio.ours.max(bench.per_second)).max(1e-9);
        let bar = |value: f64, class: &str| {
            format!(
                "{} <span class=\"bar {class}\" style=\"width:{:.0}px\"></span>",
                figure(value),
                value / most * 90.0
            )
        };
        rows.push(row![
            format!("{ours}<br/><span class=\"soft\">{theirs}</span>"),
            ratio.map_or_else(|| "-".to_owned(), |ratio| bar(ratio.ours, "")),
            bar(bench.per_second, "theirs"),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("<b>{:.2} ×</b>", ratio.ratio)),
            ratio
                .and_then(|ratio| ratio.wanted)
                .map_or_else(|| "-".to_owned(), |wanted| format!("{wanted:.2} ×"))
        ]);
    }
    html_table(out, "", &["per second", "ours", "pgbench", "ratio", "wanted"], &rows, None);
    if !baseline.halves.is_empty() {
        let halves: Vec<String> = baseline.halves.iter().map(|half| half.told()).collect();
        let _ = write!(out, "<p class=\"soft\">pgbench {}</p>", escape(&halves.join("; ")));
    }
    let settings: Vec<String> =
        baseline.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let _ = write!(
        out,
        "<p class=\"soft\">{}, {}; {} clients, {} s each, prepared statements; {}</p>",
        escape(&baseline.server),
        escape(&baseline.pgbench),
        baseline.clients,
        baseline.seconds,
        escape(&settings.join(", "))
    );
}

/// How the highest rate was found.
pub fn peak(out: &mut String, report: &Report) {
    let Some(peak) = &report.peak else { return };
    let _ = write!(out, "<h3>Highest rate that keeps the objectives: {}/s</h3>", figure(peak.per_second));
    let rows: Vec<Vec<String>> = peak
        .tries
        .iter()
        .map(|attempt| {
            row![
                format!("{}/s", figure(attempt.per_second)),
                if attempt.kept { "kept" } else { "missed" },
                attempt.why
            ]
        })
        .collect();
    if !rows.is_empty() {
        table(out, "", &["tried", "", "why"], &rows, None);
    }
}

fn times(times: &Quantiles) -> Vec<String> {
    [times.p50, times.p90, times.p95, times.p99, times.p999, times.max, times.mean].map(figure).to_vec()
}

/// Every kind of request, and the orders.
pub fn operations(out: &mut String, phase: &Phase) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, operation) in &phase.operations {
        let failed = operation.count - operation.good - operation.refused;
        let mut row = row![
            name,
            count(operation.count),
            figure(operation.per_second),
            count(operation.refused),
            count(failed)
        ];
        row.extend(times(&operation.latency_ms));
        rows.push(row);
        if let Some(refusal) = &operation.refusal_ms {
            let mut row = row![format!("{name}, refusals"), count(operation.refused), "", "", ""];
            row.extend(times(refusal));
            rows.push(row);
        }
        if let Some(failure) = &operation.failure_ms {
            let mut row = row![format!("{name}, failures"), "", "", "", ""];
            row.extend(times(failure));
            rows.push(row);
        }
    }
    if phase.orders.accepted > 0 {
        let orders = &phase.orders;
        let mut row = row![
            "created to completed",
            count(orders.timed),
            figure(orders.per_second_completed),
            "",
            count(orders.lost)
        ];
        row.extend(times(&orders.created_to_final_ms));
        rows.push(row);
    }
    if let Some(streams) = &phase.streams {
        let seconds = (phase.seconds - phase.warm_up_seconds).max(1e-9);
        let mut row = row![
            "event to client",
            count(streams.messages),
            figure(streams.messages as f64 / seconds),
            "",
            ""
        ];
        row.extend(times(&streams.delivery_ms));
        rows.push(row);
    }
    out.push_str("<h3>Requests and orders, in milliseconds</h3>");
    let head =
        ["", "count", "good/s", "refused", "failed", "p50", "p90", "p95", "p99", "p99.9", "max", "mean"];
    table(out, "", &head, &rows, None);
}

/// Problems by type, and requests without an answer by reason.
pub fn problems(out: &mut String, phase: &Phase) {
    let rows: Vec<Vec<String>> = phase
        .operations
        .iter()
        .flat_map(|(name, operation)| {
            operation
                .problems
                .iter()
                .chain(&operation.broken)
                .map(move |(why, times)| row![name, why, count(*times)])
        })
        .collect();
    if !rows.is_empty() {
        out.push_str("<h3>Problems</h3>");
        table(out, "words", &["request", "what was answered, or why nothing was", "times"], &rows, None);
    }
}

/// How the accepted orders ended.
pub fn orders(out: &mut String, phase: &Phase) {
    let orders = &phase.orders;
    if orders.accepted == 0 {
        return;
    }
    let mut rows: Vec<Vec<String>> = orders
        .statuses
        .iter()
        .map(|(status, number)| {
            row![status, count(*number), percent(*number as f64 / orders.accepted as f64)]
        })
        .collect();
    for (number, what) in [
        (orders.lost, "lost"),
        (orders.not_final, "not final when the waiting ended"),
        (orders.late, "final, but late"),
        (orders.unseen, "not looked for: interrupted"),
        (orders.repeated, "made by two requests"),
        (orders.unknown, "made, though no client saw it accepted"),
    ] {
        if number > 0 {
            rows.push(row![what, count(number), percent(number as f64 / orders.accepted as f64)]);
        }
    }
    out.push_str("<h3>How accepted orders ended</h3>");
    let all = row!["accepted", count(orders.accepted), ""];
    table(out, "", &["", "orders", "share"], &rows, Some(&all));
    if !orders.named.is_empty() {
        let _ = write!(
            out,
            "<p class=\"soft\">lost or unfinished: <code>{}</code></p>",
            escape(&orders.named.join(" "))
        );
    }
}

/// Who used what.
pub fn components(out: &mut String, phase: &Phase) {
    if phase.components.is_empty() {
        return;
    }
    let or_none = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figure);
    let cells = |name: &str, component: &Component| {
        row![
            name,
            format!("{:.2}", component.cores),
            figure(component.cpu_seconds),
            or_none(component.cpu_us_per_order),
            or_none(component.cpu_us_per_request),
            or_none(component.memory_mib_begin),
            or_none(component.memory_mib_max),
            or_none(component.memory_mib_end)
        ]
    };
    let rows: Vec<Vec<String>> =
        phase.components.iter().map(|(name, component)| cells(name, component)).collect();
    let all = cells("all but the generator", &phase.platform);
    out.push_str("<h3>Who used what while it was measured</h3>");
    let head = [
        "",
        "cores",
        "CPU s",
        "CPU µs / order",
        "CPU µs / request",
        "MiB at begin",
        "MiB at most",
        "MiB at end",
    ];
    table(out, "", &head, &rows, Some(&all));
    let _ = write!(
        out,
        "<p class=\"soft\">The generator's thread was busy {}, and started one arrival of a hundred {} ms late or more. Other \
         processes of this machine used {:.2} cores meanwhile; {:.2} were stolen by the hypervisor.</p>",
        percent(phase.generator.busy),
        figure(phase.generator.late_ms.p99),
        phase.other_cores,
        phase.stolen_cores
    );
}

/// Whatever else the phase has to show.
pub fn more(out: &mut String, phase: &Phase) {
    for shown in &phase.tables {
        let _ = write!(out, "<h3>{}</h3>", escape(&shown.title));
        let head: Vec<&str> = shown.columns.iter().map(String::as_str).collect();
        table(out, "", &head, &shown.rows, None);
        if !shown.note.is_empty() {
            let _ = write!(out, "<p class=\"soft\">{}</p>", escape(&shown.note));
        }
    }
    if !phase.figures.is_empty() {
        let rows: Vec<Vec<String>> =
            phase.figures.iter().map(|(name, value)| row![name, figure(*value)]).collect();
        out.push_str("<h3>More figures</h3>");
        table(out, "", &["", "measured"], &rows, None);
    }
}
