//! One look at the platform, as text for a ticket or as JSON for a program.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    format,
    model::Model,
    panes::{Cell, Column, Line, Pane},
    rows::{actors, highlights, lag, orders, services},
    view::figure_lines,
};

/// As text: the same lists as on the screen, with all their columns and lines.
pub fn text(model: &Model) -> String {
    let mut out = String::new();
    let state = match (&model.platform.readiness.error, &model.platform.readiness.last) {
        (Some(_), _) | (None, None) => "no answer",
        (None, Some(said)) => &said.status,
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}  {}  {}", format::clean(&model.url), format::clean(state), model.clock);
    for line in figure_lines(model) {
        let _ = writeln!(out, "{line}");
    }
    for highlight in highlights::highlights(model) {
        let _ = writeln!(out, "! {}", highlight.text);
    }
    let section = |out: &mut String, title: &str, pane: Pane, lines: &[Line]| {
        let _ = writeln!(out, "\n{title} ({})", lines.len());
        out.push_str(&table(pane.columns(), lines));
    };
    section(&mut out, "services", Pane::Services, &Pane::Services.lines(model));
    for service in model.platform.trees.keys() {
        let lines: Vec<Line> = actors::rows_of(model, service).iter().map(actors::Row::line).collect();
        section(&mut out, &format!("actors of {service}"), Pane::Actors, &lines);
        if let Some(error) = model.platform.trees.get(service).and_then(|heard| heard.error.as_ref()) {
            let _ = writeln!(out, "  {}", format::clean(&error.to_string()));
        }
    }
    section(&mut out, "lag", Pane::Lag, &Pane::Lag.lines(model));
    section(&mut out, "orders not finished, the oldest", Pane::Orders, &Pane::Orders.lines(model));
    if let Some(error) = &model.platform.workflows.error {
        let _ = writeln!(out, "  {}", format::clean(&error.to_string()));
    }
    out
}

/// A table as wide as what is in it. Columns in which nothing stands are left out.
fn table(columns: &[Column], lines: &[Line]) -> String {
    let used = |at: usize| lines.iter().any(|line| *line.cell(at) != Cell::Empty);
    let shown: Vec<(usize, &Column)> = columns.iter().enumerate().filter(|(at, _)| used(*at)).collect();
    let text = |line: &Line, at: usize| match at {
        0 => format!("{}{}", "  ".repeat(line.indent), line.cell(0).text()),
        _ => line.cell(at).text().to_owned(),
    };
    let signs = |text: &str| text.chars().count();
    let width = |at: usize, column: &Column| {
        lines.iter().map(|line| signs(&text(line, at))).max().unwrap_or_default().max(signs(column.title))
    };
    let widths: Vec<usize> = shown.iter().map(|(at, column)| width(*at, column)).collect();
    let mut out = String::new();
    let mut write = |cells: Vec<(String, bool)>| {
        let padded = cells.into_iter().zip(&widths).map(|((text, right), width)| match right {
            true => format!("{text:>width$}"),
            false => format!("{text:<width$}"),
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "  {}", line.trim_end());
    };
    if !lines.is_empty() {
        write(shown.iter().map(|(_, column)| (column.title.to_owned(), false)).collect());
    }
    for line in lines {
        write(shown.iter().map(|(at, _)| (text(line, *at), line.cell(*at).is_number())).collect());
    }
    out
}

/// As JSON.
pub fn json(model: &Model) -> Value {
    let platform = &model.platform;
    let sums = platform.sums();
    let actors: serde_json::Map<String, Value> =
        platform.trees.keys().map(|of| (of.clone(), json!(actors::rows_of(model, of)))).collect();
    json!({
        "url": model.url,
        "at": model.clock,
        "state": platform.readiness.last.as_ref().map(|said| &said.status),
        "orders": sums.orders(),
        "requests": sums.requests(),
        "resources": sums.resources(),
        "highlights": highlights::highlights(model),
        "services": services::services(model),
        "actors": actors,
        "lag": lag::rows(model),
        "workflows": orders::rows(model),
    })
}
