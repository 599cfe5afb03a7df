//! Orders that are not finished, the oldest first.

use serde::Serialize;

use crate::commands::top::{
    data::waited_for,
    format,
    model::Model,
    panes::{Cell, Column, Line, Tone, column},
};

/// Columns of the list.
pub const COLUMNS: &[Column] = &[
    column("ORDER", 13, 0),
    column("STATUS", 10, 0),
    column("AGE", 8, 0),
    column("WAITS FOR", 20, 46),
    column("FOR", 8, 70),
    column("LEFT", 8, 80),
];

/// An order.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its id.
    pub order_id: String,
    /// Its status.
    pub status: String,
    /// True when it waits for too long.
    pub stuck: bool,
    /// Since it was placed.
    pub age_seconds: Option<f64>,
    /// What has to come next.
    pub waits_for: String,
    /// How long it has been waiting for that.
    pub waiting_seconds: Option<f64>,
    /// Until it cancels itself.
    pub left_seconds: Option<f64>,
    #[serde(skip)]
    old: bool,
}

/// Each of them.
pub fn rows(model: &Model) -> Vec<Row> {
    let heard = &model.platform.workflows;
    let since = |time: &str| format::seconds_since(time, model.clock);
    let row = |order: &crate::commands::top::data::Workflow| Row {
        order_id: format::clean(&order.order_id),
        status: format::clean(&order.status),
        stuck: order.state == "stuck",
        age_seconds: since(&order.started_at),
        waits_for: order.waits_for.as_ref().map(waited_for).map(|it| format::clean(&it)).unwrap_or_default(),
        waiting_seconds: order.waiting_since.as_deref().and_then(since),
        left_seconds: order.due_at.as_deref().and_then(since).map(|ago| -ago),
        old: heard.error.is_some(),
    };
    heard.last.iter().flatten().map(row).collect()
}

impl Row {
    /// As a line of the list.
    pub fn line(&self) -> Line {
        Line {
            key: self.order_id.clone(),
            cells: vec![
                Cell::Text(self.order_id.clone()),
                Cell::Text(self.status.clone()),
                Cell::number(self.age_seconds, format::age),
                Cell::Text(self.waits_for.clone()),
                Cell::number(self.waiting_seconds, format::age),
                Cell::number(self.left_seconds, format::age),
            ],
            tone: match self.left_seconds {
                _ if self.old => Tone::Old,
                _ if self.stuck => Tone::Bad,
                Some(left) if left < 60.0 => Tone::Warning,
                _ => Tone::Plain,
            },
            indent: 0,
        }
    }
}
