//! How many instructions each scenario may take, and the verdict on what it took.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;

const HEAD: &str = "\
# Instructions that one time of each scenario takes: callgrind, release build, x86_64.
# Above budget plus tolerance the check fails. A change that costs more on purpose renews this file, and says why:
#   cargo run --release -p viscount-bench --bin instructions -- renew
";

/// `budgets.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// How far a count may be from its budget.
    pub tolerance_percent: u64,
    /// By scenario.
    pub instructions: BTreeMap<String, u64>,
}

/// What a count means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Near its budget.
    Kept,
    /// So far below its budget that the budget no longer guards anything.
    Below,
    /// Too many.
    Above,
    /// There is no budget for it.
    Unbudgeted,
}

impl Verdict {
    /// False for what a change may not bring.
    pub fn passes(self) -> bool {
        matches!(self, Verdict::Kept | Verdict::Below)
    }

    /// In words, empty when there is nothing to say.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Kept => "",
            Verdict::Below => "below: renew the budget, so that it guards this",
            Verdict::Above => "ABOVE ITS BUDGET",
            Verdict::Unbudgeted => "HAS NO BUDGET",
        }
    }
}

impl Budgets {
    /// Reads `budgets.toml`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What so many instructions mean for this scenario.
    pub fn judge(&self, scenario: &str, count: u64) -> Verdict {
        let Some(budget) = self.instructions.get(scenario).copied() else { return Verdict::Unbudgeted };
        let slack = budget.saturating_mul(self.tolerance_percent) / 100;
        if count > budget.saturating_add(slack) {
            Verdict::Above
        } else if count < budget.saturating_sub(slack) {
            Verdict::Below
        } else {
            Verdict::Kept
        }
    }

    /// By how many percent a count is above (or below) its budget.
    pub fn difference(&self, scenario: &str, count: u64) -> Option<f64> {
        let budget = self.instructions.get(scenario).copied().filter(|budget| *budget > 0)?;
        Some((count as f64 / budget as f64 - 1.0) * 100.0)
    }

    /// Budgets of scenarios that there are no more.
    pub fn strangers<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.instructions.keys().map(String::as_str).filter(|name| !known.contains(name))
    }

    /// As the file has it; scenarios in this order.
    pub fn render(&self, order: &[&str]) -> String {
        let mut text = format!("{HEAD}tolerance_percent = {}\n\n[instructions]\n", self.tolerance_percent);
        for name in order {
            if let Some(count) = self.instructions.get(*name) {
                let _ = writeln!(text, "{name} = {count}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets() -> Budgets {
        Budgets::parse("tolerance_percent = 5\n[instructions]\nlife = 1000\n").unwrap()
    }

    #[test]
    fn within_five_percent_is_kept() {
        for count in [950, 1000, 1050] {
            assert_eq!(budgets().judge("life", count), Verdict::Kept, "{count}");
        }
        assert_eq!(budgets().judge("life", 949), Verdict::Below);
        assert_eq!(budgets().judge("life", 1051), Verdict::Above);
        assert_eq!(budgets().judge("death", 1), Verdict::Unbudgeted);
        let passing =
            [Verdict::Kept, Verdict::Below, Verdict::Above, Verdict::Unbudgeted].map(Verdict::passes);
        assert_eq!(passing, [true, true, false, false]);
    }

    #[test]
    fn a_budget_of_nothing_known_is_noticed() {
        assert_eq!(budgets().strangers(&["death"]).collect::<Vec<_>>(), ["life"]);
        assert_eq!(budgets().strangers(&["life"]).count(), 0);
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let rendered = budgets().render(&["death", "life"]);
        assert_eq!(Budgets::parse(&rendered).unwrap(), budgets());
        assert!(Budgets::parse("tolerance = 5\n[instructions]\n").is_err());
    }

    #[test]
    fn the_shipped_file_has_a_budget_for_each_scenario_and_no_other() {
        let shipped = Budgets::parse(include_str!("../budgets.toml")).unwrap();
        let names: Vec<_> = crate::scenarios::ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(shipped.strangers(&names).next(), None);
        assert!(names.iter().all(|name| shipped.instructions.contains_key(*name)));
    }
}
