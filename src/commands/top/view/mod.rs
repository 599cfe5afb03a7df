//! How the model looks. Pure: a frame is drawn from the model alone.

mod head;
mod list;
mod popup;
mod theme;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::Line,
};

pub use head::figure_lines;
pub use theme::Theme;

use super::{model::Model, panes::Pane, rows::highlights};

/// From this size on there is room for all lists at once.
const WIDE: u16 = 70;
const HIGH: u16 = 16;
/// One line in so many may be a highlight.
const HIGHLIGHTS: u16 = 6;

/// Draws everything.
pub fn view(frame: &mut Frame<'_>, model: &Model, theme: &Theme) {
    let area = frame.area();
    let all = highlights::highlights(model);
    let told = all.len().min(usize::from(area.height / HIGHLIGHTS)) as u16;
    let [title, figures, warnings, lists, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(if area.height >= 8 { 2 } else { 0 }),
        Constraint::Length(told),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    head::title(frame, title, model, theme);
    head::figures(frame, figures, model, theme);
    head::warnings(frame, warnings, &all, theme);
    draw_lists(frame, lists, model, theme);
    draw_foot(frame, foot, model, theme);
    if let Some((popup, scrolled)) = &model.popup {
        popup::draw(frame, area, popup, *scrolled, model, theme);
    }
}

fn draw_lists(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    if model.zoomed || area.width < WIDE || area.height < HIGH {
        return list::draw(frame, area, model, model.focus, theme);
    }
    let [above, below] =
        Layout::vertical([Constraint::Percentage(56), Constraint::Percentage(44)]).areas(area);
    // At 80 columns the actors' list has 43: name, state, restarts and what is left of them.
    let halves = [Constraint::Percentage(46), Constraint::Length(1), Constraint::Min(0)];
    let [services, _, actors] = Layout::horizontal(halves).areas(above);
    let [lag, _, orders] = Layout::horizontal(halves).areas(below);
    for (pane, area) in Pane::ALL.into_iter().zip([services, actors, lag, orders]) {
        list::draw(frame, area, model, pane, theme);
    }
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let list = &model.lists[model.focus.index()];
    let line = match (model.typing, list.filter.is_empty()) {
        (true, _) => Line::styled(format!("/{}_", list.filter), theme.strong()),
        (false, false) => Line::styled(format!("/{}  Esc shows all", list.filter), theme.plain()),
        (false, true) => Line::styled(
            "Tab ↑↓ move  Enter open  / filter  s sort  z zoom  p pause  ? help  q quit",
            theme.faint(),
        ),
    };
    frame.render_widget(line, area);
}
