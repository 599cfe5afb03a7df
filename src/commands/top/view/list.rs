//! One list: a title, the columns that fit, and the lines around the selected one.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
};

use super::Theme;
use crate::commands::{
    OpsError,
    top::{
        model::Model,
        panes::{Column, Line as Row, Pane},
    },
};

/// Draws a list.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, pane: Pane, theme: &Theme) {
    let lines = pane.lines(model);
    let [title, header, rows] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let focused = model.focus == pane;
    draw_title(frame, title, model, pane, lines.len(), theme);
    let columns = shown(pane.columns(), area.width);
    let names = columns.iter().map(|(_, column, width)| fit(column.title, *width, false, false));
    frame.render_widget(Line::styled(names.collect::<Vec<_>>().join(" "), theme.faint()), header);
    if lines.is_empty() {
        return frame.render_widget(Line::styled(nothing(model, pane), theme.faint()), rows);
    }
    let room = usize::from(rows.height);
    let selected = model.lists[pane.index()].position(&lines);
    // The selected line stays in sight, with those around it.
    let first = selected.saturating_sub(room / 2).min(lines.len().saturating_sub(room));
    for (place, (at, line)) in (0u16..).zip(lines.iter().enumerate().skip(first).take(room)) {
        let area = Rect { y: rows.y.saturating_add(place), height: 1, ..rows };
        let style = theme.tone(line.tone);
        let style = if focused && at == selected { style.patch(theme.selected()) } else { style };
        frame.render_widget(Line::styled(written(line, &columns, pane), style), area.intersection(rows));
    }
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, model: &Model, pane: Pane, lines: usize, theme: &Theme) {
    let list = &model.lists[pane.index()];
    let name = match pane {
        Pane::Services => "services".to_owned(),
        Pane::Actors => format!("actors of {}", model.service()),
        Pane::Lag => "lag".to_owned(),
        Pane::Orders => "orders not finished".to_owned(),
    };
    let mut title = format!("{} {name} ({lines})", pane.index() + 1);
    if let Some(column) = list.sort.and_then(|column| pane.columns().get(column)) {
        let way = if list.reversed { "↑" } else { "↓" };
        title.push_str(&format!(" by {} {way}", column.title.to_lowercase()));
    }
    if !list.filter.is_empty() {
        title.push_str(&format!(" /{}", list.filter));
    }
    let style = if model.focus == pane { theme.strong().patch(theme.selected()) } else { theme.strong() };
    let rule = "─".repeat(usize::from(area.width).saturating_sub(title.chars().count() + 1));
    let parts = vec![Span::styled(title, style), Span::raw(" "), Span::styled(rule, theme.faint())];
    frame.render_widget(Line::from(parts), area);
}

/// Why a list is empty.
fn nothing(model: &Model, pane: Pane) -> String {
    if !model.lists[pane.index()].filter.is_empty() {
        return "nothing holds this".to_owned();
    }
    let platform = &model.platform;
    let error = match pane {
        Pane::Services => platform.readiness.error.as_ref(),
        Pane::Actors => model.tree().and_then(|heard| heard.error.as_ref()),
        Pane::Lag => None,
        Pane::Orders => platform.workflows.error.as_ref(),
    };
    match (error, pane) {
        (Some(OpsError::NotFound(_)), Pane::Orders) => {
            "nobody follows orders here: coordination tells them".to_owned()
        }
        (Some(error), _) => error.to_string(),
        (None, Pane::Actors) if model.service() == "gateway" => "the gateway has no actors".to_owned(),
        (None, Pane::Actors) if !platform.can_be_asked(&model.service()) => {
            format!("{} is not behind the gateway", model.service())
        }
        (None, Pane::Orders) if platform.workflows.last.is_some() => "all are finished".to_owned(),
        (None, Pane::Lag) if !platform.processes.is_empty() => "no group tells its lag".to_owned(),
        (None, _) => "asking".to_owned(),
    }
}

/// The columns that fit into so many signs, with their places and widths.
fn shown(columns: &'static [Column], width: u16) -> Vec<(usize, &'static Column, usize)> {
    let mut shown: Vec<_> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.from <= width)
        .map(|(at, column)| (at, column, usize::from(column.width)))
        .collect();
    let taken: usize = shown.iter().map(|(_, _, width)| width + 1).sum();
    if let Some((_, _, first)) = shown.first_mut() {
        *first = (*first + usize::from(width) + 1).saturating_sub(taken).max(4);
    }
    shown
}

fn written(line: &Row, columns: &[(usize, &Column, usize)], pane: Pane) -> String {
    let cell = |(at, _, width): &(usize, &Column, usize)| {
        let cell = line.cell(*at);
        let indent = if *at == 0 { line.indent.min(width / 2) } else { 0 };
        let text = format!("{}{}", " ".repeat(indent), cell.text());
        // The ids of orders begin with their time, and addresses with the network: what tells them apart is at the end.
        let keep_end = *at == 0 && (pane == Pane::Orders || pane == Pane::Services && line.indent > 0);
        fit(&text, *width, cell.is_number(), keep_end)
    };
    columns.iter().map(cell).collect::<Vec<_>>().join(" ")
}

/// Exactly so many signs; what does not fit is left out at the end, or at the beginning.
fn fit(text: &str, width: usize, right: bool, keep_end: bool) -> String {
    let signs = text.chars().count();
    match (signs > width, right) {
        (true, _) if keep_end && width > 0 => {
            std::iter::once('…').chain(text.chars().skip(signs + 1 - width)).collect()
        }
        (true, _) => text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect(),
        (false, true) => format!("{text:>width$}"),
        (false, false) => format!("{text:<width$}"),
    }
}
