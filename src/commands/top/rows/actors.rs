//! The actors of the selected service, as the tree that they are.

use serde::Serialize;
use serde_json::Value;

use crate::commands::top::{
    data::{Node, exit_text},
    format,
    model::Model,
    panes::{Cell, Column, Line, Tone, column},
};

/// Columns of the list.
pub const COLUMNS: &[Column] = &[
    column("ACTOR", 16, 0),
    column("STATE", 11, 0),
    column("RST", 5, 0),
    column("LEFT", 5, 40),
    column("INBOX", 9, 48),
    column("LIVE", 6, 64),
    column("STUCK", 5, 72),
    column("APART", 5, 80),
    column("LAST EXIT", 40, 120),
];

/// An actor.
#[derive(Debug, Serialize)]
pub struct Row {
    /// `service/…/name`.
    pub path: String,
    /// The last part of it.
    pub name: String,
    /// `supervisor`, `task`, `actor` or `router`.
    pub kind: String,
    /// `running`, `backing_off` …
    pub state: String,
    /// So far.
    pub restarts: u64,
    /// Restarts that a supervisor may still have in its window.
    pub restarts_left: Option<u64>,
    /// And how many it may have altogether.
    pub max_restarts: Option<u64>,
    /// Messages accepted and not finished.
    pub mailbox_depth: Option<u64>,
    /// The most of them.
    pub mailbox_capacity: Option<u64>,
    /// Entities alive.
    pub live: Option<u64>,
    /// How often it was found without progress.
    pub stuck: u64,
    /// Entities that are kept apart because they keep falling.
    pub quarantined: u64,
    /// Why the last incarnation ended.
    pub last_exit: Option<String>,
    #[serde(skip)]
    depth: usize,
    #[serde(skip)]
    old: bool,
}

/// All of the selected service, each before those below it.
pub fn rows(model: &Model) -> Vec<Row> {
    rows_of(model, &model.service())
}

/// All of this service.
pub fn rows_of(model: &Model, service: &str) -> Vec<Row> {
    let Some(heard) = model.platform.trees.get(service) else { return Vec::new() };
    let mut rows = Vec::new();
    if let Some(tree) = &heard.last {
        add(tree, 0, heard.error.is_some(), &mut rows);
    }
    rows
}

fn add(node: &Node, depth: usize, old: bool, rows: &mut Vec<Row>) {
    let last_exit = node.last_exit.as_ref().filter(|exit| **exit != Value::Null);
    rows.push(Row {
        path: format::clean(&node.path),
        name: format::clean(&node.name),
        kind: format::clean(&node.kind),
        state: format::clean(&node.state),
        restarts: node.restarts,
        restarts_left: node.restart_budget_remaining,
        max_restarts: node.intensity.map(|it| it.max_restarts),
        mailbox_depth: node.mailbox_depth,
        mailbox_capacity: node.mailbox_capacity,
        live: node.live,
        stuck: node.stuck,
        quarantined: node.quarantined.len() as u64,
        last_exit: last_exit.map(|exit| format::clean(&exit_text(exit))),
        depth,
        old,
    });
    for child in &node.children {
        add(child, depth + 1, old, rows);
    }
}

impl Row {
    /// As a line of the list.
    pub fn line(&self) -> Line {
        let count = |value: u64| Cell::Number(value as f64, format::grouped(value as f64));
        let some = |value: u64| if value == 0 { Cell::Empty } else { count(value) };
        let left = match (self.restarts_left, self.max_restarts) {
            (Some(left), Some(of)) => Cell::Number(left as f64, format!("{left}/{of}")),
            (Some(left), None) => count(left),
            (None, _) => Cell::Empty,
        };
        let inbox = match (self.mailbox_depth, self.mailbox_capacity) {
            (Some(depth), Some(of)) => Cell::Number(depth as f64, format!("{depth}/{of}")),
            (Some(depth), None) => count(depth),
            (None, _) => Cell::Empty,
        };
        Line {
            key: self.path.clone(),
            cells: vec![
                Cell::Text(self.name.clone()),
                Cell::Text(self.state.clone()),
                some(self.restarts),
                left,
                inbox,
                self.live.map_or(Cell::Empty, count),
                some(self.stuck),
                some(self.quarantined),
                self.last_exit.clone().map_or(Cell::Empty, Cell::Text),
            ],
            tone: self.tone(),
            indent: self.depth,
        }
    }

    fn tone(&self) -> Tone {
        let full = match (self.mailbox_depth, self.mailbox_capacity) {
            (Some(depth), Some(capacity)) => capacity > 0 && depth * 10 >= capacity * 9,
            _ => false,
        };
        match self.state.as_str() {
            _ if self.old => Tone::Old,
            "failed" | "down" => Tone::Bad,
            _ if self.quarantined > 0 || self.restarts_left == Some(0) || full => Tone::Bad,
            "backing_off" => Tone::Warning,
            _ if self.restarts_left == Some(1) || self.stuck > 0 => Tone::Warning,
            _ => Tone::Plain,
        }
    }
}
