//! What a replay shows: the two books, what explains their difference, and what does not.

use super::{
    Replay,
    amount::grouped,
    drive::Driven,
    reconcile::{Reconciliation, Sum},
};
use crate::report::model::Table;

/// Contradictions that are named.
const NAMED: usize = 20;

/// What came of a replay.
#[derive(Debug)]
pub struct Outcome {
    /// What was read of the file, in words.
    pub notes: Vec<String>,
    /// How the books compare.
    pub compared: Reconciliation,
    /// Invoices per second.
    pub invoices_per_second: f64,
}

impl Outcome {
    pub(super) fn new(replay: &Replay, accounts: usize, driven: &Driven, compared: Reconciliation) -> Self {
        let file = &replay.file;
        let count = |number: u64| grouped(u128::from(number));
        let planned = replay.plan.orders.len() as u64;
        let placed = driven.orders.iter().flatten().count() as u64;
        let begun = if placed < planned { format!("{} of ", count(placed)) } else { String::new() };
        let mut notes = vec![
            format!(
                "the file: {} lines; of its first {} invoices {} lines, {} customers with a number",
                count(file.lines),
                count(file.invoices.len() as u64),
                count(compared.lines),
                count(replay.customers.len() as u64),
            ),
            format!(
                "replayed as {begun}{} orders and {} invoices that take back, over {} accounts{}, in {:.1} s",
                count(planned),
                count(replay.plan.reversals.len() as u64),
                count(accounts as u64),
                if accounts < replay.customers.len() { " that the customers share" } else { "" },
                driven.took.as_secs_f64(),
            ),
        ];
        if file.beyond > 0 {
            notes.push(format!("lines of later invoices, not looked at: {}", count(file.beyond)));
        }
        if file.invoices.len() < replay.settings.invoices && replay.settings.invoices < usize::MAX {
            notes.push("the file has no more invoices than these".to_owned());
        }
        if !file.unreadable.is_empty() {
            let reasons =
                file.unreadable.iter().map(|(reason, lines)| format!("{} × {reason}", count(*lines)));
            let reasons: Vec<_> = reasons.collect();
            notes.push(format!("lines that cannot be read, and are in no sum: {}", reasons.join(", ")));
        }
        let missing = replay.missing();
        if missing > 0 {
            notes.push(format!(
                "stock codes of goods that the file sells and the catalogue lacks: {} (`viscount import {}` adds those whose price it can take)",
                count(missing as u64),
                replay.settings.file.display()
            ));
        }
        let others = compared.contradictions.len().saturating_sub(NAMED);
        notes.extend(
            compared.contradictions.iter().take(NAMED).map(|what| format!("contradiction: order {what}")),
        );
        if others > 0 {
            notes.push(format!("contradictions besides these: {others}"));
        }
        let invoices_per_second = file.invoices.len() as f64 / driven.took.as_secs_f64().max(1e-9);
        Self { notes, compared, invoices_per_second }
    }

    /// True when everything is explained, and nothing happened that must not.
    pub fn is_clean(&self) -> bool {
        self.compared.is_clean()
    }

    /// The reconciliation.
    pub fn tables(&self) -> Vec<Table> {
        let compared = &self.compared;
        let row = |what: &str, lines: Option<u64>, sum: Sum| {
            let lines = lines.map(|lines| grouped(lines.into())).unwrap_or_default();
            vec![what.to_owned(), lines, pieces(sum.pieces), sum.money.to_string()]
        };
        let (file, platform) = (compared.file, compared.platform);
        let mut rows = vec![
            row("file: sold", None, file.sold),
            row("file: taken back", None, file.returned),
            row("file: in all", Some(compared.lines), file.net()),
            row("platform: sold", None, platform.sold),
            row("platform: given back", None, platform.returned),
            row("platform: in all", None, platform.net()),
            row("difference", None, file.net() - platform.net()),
        ];
        let failed = |failure| if failure { "! " } else { "" };
        rows.extend(compared.classes.iter().map(|class| {
            row(&format!("· {}{}", failed(class.failure), class.reason), Some(class.lines), class.difference)
        }));
        rows.push(row("unexplained", None, compared.unexplained));
        rows.push(row("lines that agree to the penny", Some(compared.agreeing), Sum::default()));
        let columns = ["", "lines", "pieces", "money"].map(str::to_owned).to_vec();
        let verdict = if self.is_clean() {
            "everything is explained"
        } else {
            "NOT RECONCILED: something is unexplained, contradictory (see the notes), or marked with !"
        };
        vec![Table {
            title: "reconciliation with the file".to_owned(),
            columns,
            rows,
            note: verdict.to_owned(),
        }]
    }

    /// Figures for objectives.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("not_reconciled", f64::from(u8::from(!self.is_clean()))),
            ("unexplained_pieces", self.compared.unexplained.pieces.unsigned_abs() as f64),
            ("invoices_per_second", self.invoices_per_second),
        ]
    }
}

/// With its sign and a comma at each thousand.
fn pieces(pieces: i64) -> String {
    let sign = if pieces < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(pieces.unsigned_abs().into()))
}
