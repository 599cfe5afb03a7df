//! The window over the lists: help, an actor's last exits, why an order is not finished.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::Line,
    widgets::{Block, Clear, Paragraph, Wrap},
};
use serde_json::Value;

use super::Theme;
use crate::commands::{
    OpsError,
    top::{
        data::{Ended, exit_text},
        format,
        keys::HELP,
        model::{Heard, Model, Popup},
    },
};

/// Lines of a backtrace that are shown.
const BACKTRACE: usize = 12;

/// Draws it over `area`.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    popup: &Popup,
    scrolled: u16,
    model: &Model,
    theme: &Theme,
) {
    let (title, lines) = match popup {
        Popup::Help => ("keys".to_owned(), help()),
        Popup::Exits { path, heard, .. } => {
            (format!("last exits of {path}"), heard_lines(heard, |exits| exits_of(path, exits, model)))
        }
        Popup::Why { order, heard } => (format!("why {order}"), heard_lines(heard, why)),
    };
    let margin = |size: u16| if size > 60 { 2 } else { 0 };
    let area = Rect {
        x: area.x.saturating_add(margin(area.width)),
        y: area.y.saturating_add(1),
        width: area.width.saturating_sub(2 * margin(area.width)),
        height: area.height.saturating_sub(2),
    }
    .intersection(area);
    let most = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(1);
    let styled = |(text, strong): (String, bool)| {
        Line::styled(format::clean(&text), if strong { theme.strong() } else { Style::new() })
    };
    let text: Vec<_> = lines.into_iter().map(styled).collect();
    let block = Block::bordered().title(format::clean(&title)).title_bottom(" Esc closes, ↑↓ scroll ");
    frame.render_widget(Clear, area);
    let paragraph = Paragraph::new(text).block(block).wrap(Wrap { trim: false });
    frame.render_widget(paragraph.scroll((scrolled.min(most), 0)), area);
}

/// A line, and whether it stands out.
type Told = (String, bool);

fn help() -> Vec<Told> {
    let mut lines: Vec<Told> =
        HELP.iter().map(|(keys, what)| (format!("{keys:<30} {what}"), false)).collect();
    lines.push((String::new(), false));
    let words = [
        "RST restarts so far; LEFT restarts that a supervisor may still have in its window",
        "INBOX messages accepted and not finished, of how many; LIVE entities in memory",
        "STUCK times without progress; APART entities in quarantine",
        "Rates and p99 are of the last ten seconds. Faint: no newer answer has come.",
    ];
    lines.extend(words.map(|text| (text.to_owned(), false)));
    lines
}

fn heard_lines<T>(heard: &Heard<T>, tell: impl FnOnce(&T) -> Vec<Told>) -> Vec<Told> {
    let mut lines = heard.last.as_ref().map(tell).unwrap_or_default();
    match &heard.error {
        Some(OpsError::NotFound(why)) => lines.insert(0, (format!("nothing is known: {why}"), true)),
        Some(error) => lines.insert(0, (error.to_string(), true)),
        None if heard.last.is_none() => lines.push(("asking".to_owned(), false)),
        None => {}
    }
    lines
}

fn exits_of(path: &str, exits: &[Ended], model: &Model) -> Vec<Told> {
    if exits.is_empty() {
        return vec![("it has not fallen".to_owned(), false)];
    }
    let mut lines = Vec::new();
    for exit in exits {
        let ago = format::seconds_since(&exit.at, model.clock).map(format::age);
        // A supervisor shows those of all below it.
        let of = if exit.path == path { "" } else { &exit.path };
        let of = [of, exit.id.as_deref().unwrap_or_default()].join(" ");
        lines.push((format!("{} ago  {}  {}", ago.unwrap_or_default(), exit.at, of.trim()), true));
        let at = exit.message_kind.as_deref().map(|kind| format!(" at {kind}")).unwrap_or_default();
        let up = format::age(exit.uptime_seconds);
        lines.push((format!("  {}{at}, after {up}", exit_text(&exit.exit)), false));
        let trace = match &exit.backtrace {
            Some(Value::String(text)) => text.lines().map(str::to_owned).collect(),
            Some(Value::Array(frames)) => {
                frames.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        lines.extend(trace.into_iter().take(BACKTRACE).map(|frame| (format!("    {}", frame.trim()), false)));
    }
    lines
}

/// A moment to the millisecond; whatever else it is, as it came.
fn moment(text: String) -> String {
    text.parse::<jiff::Timestamp>().map_or(text, |at| format!("{at:.3}"))
}

fn why(why: &Value) -> Vec<Told> {
    let text = |value: &Value, name: &str| match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let list = |name: &str| why.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let finished = why.get("finished").and_then(Value::as_bool).unwrap_or_default();
    let mut lines = vec![(
        format!("status {}{}", text(why, "status"), if finished { ", finished" } else { ", not finished" }),
        true,
    )];
    if let Some(waits) = why.get("waits_for").filter(|waits| waits.is_object()) {
        let waited = waits.get("seconds").and_then(Value::as_f64).map(format::age).unwrap_or_default();
        let until = Some(moment(text(waits, "until"))).filter(|until| !until.is_empty());
        let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
        let of = Some(text(waits, "service")).filter(|of| !of.is_empty());
        let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
        let words = Some(text(waits, "words")).filter(|words| !words.is_empty());
        let what = words.unwrap_or_else(|| text(waits, "what") + &of);
        lines.push((format!("waits for {what}, for {waited}{until}"), false));
    }
    for cause in list("causes") {
        lines.push((format!("{}: {}", text(&cause, "kind"), text(&cause, "service")), true));
        lines.push((format!("  {}", text(&cause, "detail")), false));
        let since = moment(text(&cause, "since"));
        if !since.is_empty() {
            lines.push((format!("  since {since}"), false));
        }
    }
    let trace = text(why, "trace_id");
    if !trace.is_empty() {
        lines.push((format!("trace {trace}"), false));
    }
    for event in list("timeline") {
        let of = [moment(text(&event, "at")), text(&event, "service"), text(&event, "type")].join("  ");
        lines.push((of, false));
    }
    lines
}
