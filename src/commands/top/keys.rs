//! What the keys do.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    ask::Ask,
    model::{Heard, INTERVALS, Model, Popup},
    panes::Pane,
};

/// Lines of a page.
const PAGE: isize = 10;
/// The longest filter, in signs.
const LONGEST: usize = 64;

/// The keys, for those who ask.
pub const HELP: &[(&str, &str)] = &[
    ("Tab, Shift-Tab, ← →, h l, 1–4", "go to another list"),
    ("↑ ↓, k j, PgUp PgDn, g G", "go to another line"),
    ("Enter", "services: their actors; an actor: its last exits; an order: why it is not finished"),
    ("/", "show lines that hold a text; Enter keeps it, Esc drops it"),
    ("s, S", "sort by the next column; the other way round"),
    ("z", "this list alone, or all of them"),
    ("p, Space", "pause, and go on"),
    ("+, -", "ask more often, or less"),
    ("r", "ask now"),
    ("q, Esc, Ctrl-C", "leave"),
];

/// Acts on a key; what is to be asked because of it.
pub fn press(model: &mut Model, key: KeyEvent, at: Instant) -> Vec<Ask> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        model.over |= matches!(key.code, KeyCode::Char('c' | 'd' | 'q'));
        return Vec::new();
    }
    if model.typing {
        write(model, key.code);
        return Vec::new();
    }
    if let Some((_, scrolled)) = &mut model.popup {
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => *scrolled = scrolled.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => *scrolled = scrolled.saturating_add(1),
            KeyCode::PageUp => *scrolled = scrolled.saturating_sub(PAGE.unsigned_abs() as u16),
            KeyCode::PageDown => *scrolled = scrolled.saturating_add(PAGE.unsigned_abs() as u16),
            KeyCode::Char('g') | KeyCode::Home => *scrolled = 0,
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?') => model.popup = None,
            _ => {}
        }
        return Vec::new();
    }
    in_lists(model, key.code, at)
}

fn in_lists(model: &mut Model, code: KeyCode, at: Instant) -> Vec<Ask> {
    let list = model.focus.index();
    match code {
        KeyCode::Esc if !model.lists[list].filter.is_empty() => model.lists[list].filter.clear(),
        KeyCode::Esc if model.zoomed => model.zoomed = false,
        KeyCode::Esc | KeyCode::Char('q') => model.over = true,
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => model.focus = model.focus.step(1),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => {
            model.focus = model.focus.step(Pane::ALL.len() - 1);
        }
        KeyCode::Char(digit @ '1'..='4') => {
            model.focus = Pane::ALL[usize::from(digit as u8 - b'1')];
        }
        KeyCode::Down | KeyCode::Char('j') => return walk(model, 1),
        KeyCode::Up | KeyCode::Char('k') => return walk(model, -1),
        KeyCode::PageDown => return walk(model, PAGE),
        KeyCode::PageUp => return walk(model, -PAGE),
        KeyCode::Home | KeyCode::Char('g') => return walk(model, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => return walk(model, isize::MAX),
        KeyCode::Char('/') => model.typing = true,
        KeyCode::Char('s') => model.lists[list].sort_by_next(model.focus.columns().len()),
        KeyCode::Char('S') => model.lists[list].reversed = !model.lists[list].reversed,
        KeyCode::Char('z') => model.zoomed = !model.zoomed,
        KeyCode::Char('p' | ' ') => model.paused = !model.paused,
        KeyCode::Char('+' | '=') => model.interval = faster(model.interval),
        KeyCode::Char('-') => model.interval = slower(model.interval),
        KeyCode::Char('r') => return model.round(at),
        KeyCode::Char('?') | KeyCode::F(1) => model.popup = Some((Popup::Help, 0)),
        KeyCode::Enter => return open(model),
        _ => {}
    }
    Vec::new()
}

fn walk(model: &mut Model, by: isize) -> Vec<Ask> {
    let lines = model.focus.lines(model);
    let before = model.service();
    model.lists[model.focus.index()].walk(&lines, by);
    // Its actors are shown beside it.
    if model.service() == before { Vec::new() } else { model.ask_for_actors().into_iter().collect() }
}

/// What the selected line leads to.
fn open(model: &mut Model) -> Vec<Ask> {
    let lines = model.focus.lines(model);
    let Some(line) = lines.get(model.lists[model.focus.index()].position(&lines)) else { return Vec::new() };
    let key = line.key.clone();
    match model.focus {
        Pane::Services => {
            model.lists[Pane::Services.index()].selected = Some(key);
            model.focus = Pane::Actors;
            model.ask_for_actors().into_iter().collect()
        }
        Pane::Actors => {
            let service = model.service();
            let ask = Ask::Exits { service: service.clone(), path: key.clone() };
            model.popup = Some((Popup::Exits { service, path: key, heard: Heard::default() }, 0));
            vec![ask]
        }
        Pane::Orders => {
            model.popup = Some((Popup::Why { order: key.clone(), heard: Heard::default() }, 0));
            vec![Ask::Why(key)]
        }
        Pane::Lag => Vec::new(),
    }
}

fn write(model: &mut Model, code: KeyCode) {
    let filter = &mut model.lists[model.focus.index()].filter;
    match code {
        KeyCode::Enter => model.typing = false,
        KeyCode::Esc => {
            filter.clear();
            model.typing = false;
        }
        KeyCode::Backspace => drop(filter.pop()),
        KeyCode::Char(sign) if filter.chars().count() < LONGEST && !sign.is_control() => filter.push(sign),
        _ => {}
    }
}

fn faster(present: Duration) -> Duration {
    let steps = INTERVALS.map(Duration::from_millis);
    steps.into_iter().rev().find(|step| *step < present).unwrap_or(steps[0])
}

fn slower(present: Duration) -> Duration {
    let steps = INTERVALS.map(Duration::from_millis);
    steps.into_iter().find(|step| *step > present).unwrap_or(steps[steps.len() - 1])
}
