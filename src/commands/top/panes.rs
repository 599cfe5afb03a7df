//! The four lists: their columns, and how they are searched, sorted and walked through.

use std::cmp::Ordering;

use super::{
    model::Model,
    rows::{actors, lag, orders, services},
};

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// Services and their instances.
    Services,
    /// The actors of the selected service.
    Actors,
    /// How far groups are behind.
    Lag,
    /// Orders that are not finished.
    Orders,
}

impl Pane {
    /// All, in the order of Tab.
    pub const ALL: [Pane; 4] = [Pane::Services, Pane::Actors, Pane::Lag, Pane::Orders];

    /// Its place in that order.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// So many further, round and round.
    pub fn step(self, by: usize) -> Pane {
        Pane::ALL[(self.index() + by) % Pane::ALL.len()]
    }

    /// Its columns.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Pane::Services => services::COLUMNS,
            Pane::Actors => actors::COLUMNS,
            Pane::Lag => lag::COLUMNS,
            Pane::Orders => orders::COLUMNS,
        }
    }

    /// Its lines as they come.
    fn all_lines(self, model: &Model) -> Vec<Line> {
        match self {
            Pane::Services => services::rows(model).iter().map(services::Row::line).collect(),
            Pane::Actors => actors::rows(model).iter().map(actors::Row::line).collect(),
            Pane::Lag => lag::rows(model).iter().map(lag::Row::line).collect(),
            Pane::Orders => orders::rows(model).iter().map(orders::Row::line).collect(),
        }
    }

    /// Its lines as they are searched and sorted.
    pub fn lines(self, model: &Model) -> Vec<Line> {
        let list = &model.lists[self.index()];
        let mut lines = self.all_lines(model);
        let wanted = list.filter.to_lowercase();
        if !wanted.is_empty() {
            lines.retain(|line| line.has(&wanted));
        }
        if let Some(column) = list.sort {
            lines.sort_by(|a, b| {
                let order = a.cell(column).cmp(b.cell(column));
                if list.reversed { order.reverse() } else { order }
            });
        }
        if list.sort.is_some() || !wanted.is_empty() {
            // Out of its place, a branch says nothing.
            for line in &mut lines {
                line.indent = 0;
            }
        }
        lines
    }
}

/// A column.
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// Its width; the first column takes what the others leave.
    pub width: u16,
    /// The width of the pane from which on it is shown.
    pub from: u16,
}

/// A column of this width, shown in panes of at least that width.
pub const fn column(title: &'static str, width: u16, from: u16) -> Column {
    Column { title, width, from }
}

/// A line of a list.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is about; stays the same from one answer to the next.
    pub key: String,
    /// As many as there are columns.
    pub cells: Vec<Cell>,
    /// How it is to be taken.
    pub tone: Tone,
    /// How deep it is in a tree.
    pub indent: usize,
}

/// How something is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// It may not hold any more.
    Old,
    /// As it should be.
    Plain,
    /// Worth a look.
    Warning,
    /// Somebody has to do something.
    Bad,
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    Empty,
    /// Words, sorted by the alphabet.
    Text(String),
    /// A number and how it is written; the largest comes first.
    Number(f64, String),
}

impl Cell {
    /// A number, or nothing.
    pub fn number(value: Option<f64>, written: impl Fn(f64) -> String) -> Self {
        value.map_or(Cell::Empty, |value| Cell::Number(value, written(value)))
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        match self {
            Cell::Empty => "",
            Cell::Text(text) | Cell::Number(_, text) => text,
        }
    }

    /// Numbers stand at the right.
    pub fn is_number(&self) -> bool {
        matches!(self, Cell::Number(..))
    }

    fn cmp(&self, other: &Cell) -> Ordering {
        match (self, other) {
            (Cell::Number(a, _), Cell::Number(b, _)) => b.total_cmp(a),
            (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
            // What is known comes before what is not.
            (one, other) => other.rank().cmp(&one.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Cell::Empty => 0,
            Cell::Text(_) => 1,
            Cell::Number(..) => 2,
        }
    }
}

impl Line {
    fn has(&self, wanted: &str) -> bool {
        let holds = |text: &str| text.to_lowercase().contains(wanted);
        holds(&self.key) || self.cells.iter().any(|cell| holds(cell.text()))
    }

    /// What stands in this column.
    pub fn cell(&self, column: usize) -> &Cell {
        self.cells.get(column).unwrap_or(&Cell::Empty)
    }
}

/// How a list is searched, sorted and walked through.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// The line that keys act on, by its key: it stays the same one while others come and go.
    pub selected: Option<String>,
    /// What lines have to hold.
    pub filter: String,
    /// By which column; as they come when absent.
    pub sort: Option<usize>,
    /// The other way round.
    pub reversed: bool,
}

impl List {
    /// Where the selected line is; the first one when it has gone.
    pub fn position(&self, lines: &[Line]) -> usize {
        let selected = self.selected.as_deref();
        lines.iter().position(|line| Some(line.key.as_str()) == selected).unwrap_or(0)
    }

    /// Goes so many lines down, or up.
    pub fn walk(&mut self, lines: &[Line], by: isize) {
        let last = lines.len().saturating_sub(1);
        let to = self.position(lines).saturating_add_signed(by).min(last);
        self.selected = lines.get(to).map(|line| line.key.clone());
    }

    /// Sorts by the next column, and in the end not at all.
    pub fn sort_by_next(&mut self, columns: usize) {
        let next = self.sort.map_or(0, |column| column + 1);
        self.sort = (next < columns).then_some(next);
    }
}
