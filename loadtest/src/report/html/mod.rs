//! The report as one page that needs nothing else: no scripts, no fonts, no network. It follows the reader's light or dark
//! scheme, and a phone can show it. It is well-formed XML as well, so that a test can parse it.

mod charts;
mod plot;
mod tables;

use std::fmt::Write as _;

use super::{
    model::{Phase, Report},
    text::{clock, count, figure, percent},
};

/// How it looks.
const STYLE: &str = include_str!("style.css");

/// The whole page.
pub fn page(report: &Report) -> String {
    let meta = &report.meta;
    let title = format!("{} · load test", escape(&meta.profile));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main>"
    );
    head(&mut out, report);
    notes(&mut out, &report.notes);
    tables::objectives(&mut out, report);
    tables::ratios(&mut out, report);
    tables::peak(&mut out, report);
    for phase in &report.phases {
        section(&mut out, phase);
    }
    foot(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

fn head(out: &mut String, report: &Report) {
    let meta = &report.meta;
    let _ = write!(out, "<header><h1>{}</h1>", escape(&meta.profile));
    let all = report.phases.iter().flat_map(|phase| &phase.objectives).count();
    match report.kept() {
        true if all > 0 => out.push_str("<span class=\"badge kept\">objectives kept</span>"),
        true => {}
        false => out.push_str("<span class=\"badge missed\">objectives missed</span>"),
    }
    if meta.partial {
        let why = if meta.failed { "it failed" } else { "interrupted" };
        let _ = write!(out, "<span class=\"badge partial\">partial: {why}</span>");
    }
    if report.generator_bound {
        out.push_str("<span class=\"badge partial\">the generator was in the way</span>");
    }
    let _ = write!(
        out,
        "</header><p class=\"soft\">{} · {} of load · seed {} · {}</p>",
        escape(&meta.started_at),
        clock(meta.seconds),
        meta.seed,
        escape(&meta.target)
    );
}

fn notes(out: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    out.push_str("<ul class=\"notes\">");
    for note in notes {
        let _ = write!(out, "<li>{}</li>", escape(note));
    }
    out.push_str("</ul>");
}

fn section(out: &mut String, phase: &Phase) {
    let _ = write!(
        out,
        "<section><h2>{}</h2><p class=\"soft\">{} · {}",
        escape(&phase.name),
        escape(&phase.load),
        clock(phase.seconds)
    );
    if phase.warm_up_seconds > 0.0 {
        let _ = write!(out, ", the first {} left out", clock(phase.warm_up_seconds));
    }
    out.push_str("</p>");
    tiles(out, phase);
    notes(out, &phase.notes);
    out.push_str("<div class=\"plots\">");
    for plot in charts::all(phase) {
        out.push_str(&plot.render());
    }
    out.push_str("</div>");
    tables::operations(out, phase);
    tables::problems(out, phase);
    tables::orders(out, phase);
    tables::components(out, phase);
    tables::more(out, phase);
    out.push_str("</section>");
}

/// What most readers want to know.
fn tiles(out: &mut String, phase: &Phase) {
    let mut tiles: Vec<(String, &str, String)> = Vec::new();
    let orders = &phase.orders;
    if orders.accepted > 0 {
        tiles.push((figure(orders.per_second_completed), "/s", "orders completed".to_owned()));
        tiles.push((figure(orders.created_to_final_ms.p99), "ms", "created to completed, p99".to_owned()));
    }
    for name in ["order", "hot"] {
        if let Some(operation) = phase.operations.get(name) {
            tiles.push((figure(operation.latency_ms.p99), "ms", format!("{name}: POST to 201, p99")));
        }
    }
    tiles.push((figure(phase.requests.per_second), "/s", "good requests".to_owned()));
    if orders.accepted == 0 {
        tiles.push((figure(phase.requests.latency_ms.p99), "ms", "all requests, p99".to_owned()));
    }
    if let Some(streams) = &phase.streams {
        tiles.push((count(streams.most), "", "streams open at once".to_owned()));
        tiles.push((figure(streams.delivery_ms.p99), "ms", "event to client, p99".to_owned()));
    }
    match (phase.platform.cpu_us_per_order, phase.platform.cpu_us_per_request) {
        (Some(cpu), _) => tiles.push((figure(cpu), "µs", "CPU for an order, PostgreSQL included".to_owned())),
        (None, Some(cpu)) => tiles.push((figure(cpu), "µs", "CPU for a request".to_owned())),
        _ => {}
    }
    let share = phase.requests.unexpected_share;
    tiles.push((percent(share), "", format!("failed of {}", count(phase.requests.count))));
    if phase.requests.refused > 0 {
        tiles.push((count(phase.requests.refused), "", "refused: come later".to_owned()));
    }
    out.push_str("<div class=\"tiles\">");
    for (value, unit, what) in tiles {
        let _ = write!(
            out,
            "<div class=\"tile\"><b>{} <small>{unit}</small></b><span>{}</span></div>",
            escape(&value),
            escape(&what)
        );
    }
    out.push_str("</div>");
}

fn foot(out: &mut String, report: &Report) {
    let machine = &report.meta.machine;
    let _ = write!(
        out,
        "<footer><p>{} × {}, {} MiB, Linux {}. Generator, platform and PostgreSQL share this machine when the target is on it.</p>\
         <p>Latency counts from the moment a request was meant to start; in a closed loop that is when it was sent. \
         Histograms have three digits. Refusals (429, 503) and failures have times of their own. Memory is what is resident; PostgreSQL's \
         shared buffers count once. viscount-loadtest {}</p></footer>",
        machine.cores,
        escape(&machine.cpu),
        count(machine.memory_mib),
        escape(&machine.kernel),
        escape(&report.meta.version)
    );
}

/// Text as it may stand in HTML, also in an attribute. What XML cannot hold is left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests;
