//! The first lines: where, how it goes, and what to look at.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span, Text},
};

use super::Theme;
use crate::commands::top::{format, model::Model, panes::Tone, rows::highlights::Highlight};

/// Where, when and how often.
pub(super) fn title(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let readiness = &model.platform.readiness;
    let (state, tone) = match (&readiness.error, &readiness.last) {
        (Some(_), _) => ("no answer", Tone::Bad),
        (None, None) => ("asking", Tone::Old),
        (None, Some(said)) => match said.status.as_str() {
            "ready" => ("ready", Tone::Plain),
            "degraded" => ("degraded", Tone::Warning),
            "draining" => ("draining", Tone::Bad),
            _ => ("unavailable", Tone::Bad),
        },
    };
    let every = format!("every {} s", model.interval.as_millis() as f64 / 1_000.0);
    let clock = model.clock.strftime("%H:%M:%SZ").to_string();
    let mut parts = vec![
        Span::styled("viscount top", theme.strong()),
        Span::raw("  "),
        Span::styled(state, theme.tone(tone)),
        Span::raw(format!("  {clock}  ")),
        match model.paused {
            true => Span::styled("PAUSED", theme.selected()),
            false => Span::raw(every),
        },
    ];
    parts.push(Span::styled(format!("  {}", format::clean(&model.url)), theme.faint()));
    frame.render_widget(Line::from(parts), area);
}

/// The figures, in words: the same lines that `--once` prints.
pub fn figure_lines(model: &Model) -> [String; 2] {
    let sums = model.platform.sums();
    let (orders, requests, resources) = (sums.orders(), sums.requests(), sums.resources());
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let mut first = format!(
        "orders {}/s in, {}/s completed, {}/s failed, p99 final {}",
        format::number(orders.created_per_second),
        format::number(orders.completed_per_second),
        format::number(orders.failed_per_second),
        or_none(orders.p99_final_seconds.map(format::seconds)),
    );
    if let Some(open) = orders.open {
        first.push_str(&format!(", open {}", format::grouped(open)));
    }
    let second = format!(
        "requests {}/s, 5xx {}, p99 {}  cpu {} cores, {}, {} processes",
        format::number(requests.per_second),
        or_none(requests.error_share.map(format::share)),
        or_none(requests.p99_seconds.map(format::seconds)),
        format::number(resources.cpu),
        format::megabytes(resources.memory_bytes),
        resources.processes,
    );
    [first, second]
}

pub(super) fn figures(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let lines = figure_lines(model).map(|text| Line::styled(text, theme.plain()));
    frame.render_widget(Text::from(lines.to_vec()), area);
}

/// As many as there is room for, and how many more there are.
pub(super) fn warnings(frame: &mut Frame<'_>, area: Rect, all: &[Highlight], theme: &Theme) {
    let room = usize::from(area.height);
    let lines = all.iter().take(room).enumerate().map(|(at, highlight)| {
        let more = all.len().saturating_sub(room);
        let rest = if at + 1 == room && more > 0 { format!("  (and {more} more)") } else { String::new() };
        Line::styled(format!("! {}{rest}", highlight.text), theme.tone(highlight.tone))
    });
    frame.render_widget(Text::from(lines.collect::<Vec<_>>()), area);
}
