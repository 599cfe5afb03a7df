//! What an audit has found.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    process::ExitCode,
};

/// The promises, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// reserved + sold ≤ received.
    I1,
    /// Every accepted order is final in time.
    I2,
    /// One capture for each paid order.
    I3,
    /// Outbox = log.
    I4,
    /// Versions contiguous.
    I5,
    /// Stream = history.
    I6,
}

impl Promise {
    const fn says(self) -> &'static str {
        match self {
            Promise::I1 => "reserved + sold <= received, at every version",
            Promise::I2 => "every accepted order is final in time",
            Promise::I3 => "one capture for each paid order, and money adds up",
            Promise::I4 => "what is committed is published, and handled once",
            Promise::I5 => "versions are contiguous, projections as the events say",
            Promise::I6 => "a stream is the history",
        }
    }
}

/// One thing that is not as promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise that is broken.
    pub promise: Promise,
    /// Of what, with its id: the same at every look, whatever else changes.
    pub of: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.promise, self.of, self.what)
    }
}

/// What was checked, and what was found wrong.
#[derive(Debug, Default)]
pub struct Report {
    checked: BTreeMap<Promise, Vec<String>>,
    violations: Vec<Violation>,
}

/// Whether all promises hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    violations: usize,
}

impl Verdict {
    /// 0 when all promises hold, else 1.
    pub fn exit_code(self) -> ExitCode {
        if self.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The most violations of one promise that are printed: enough to see a pattern, few enough to read.
const PRINTED: usize = 200;

impl Report {
    /// Notes what was looked at: `1,204 orders`.
    pub fn checked(&mut self, promise: Promise, what: impl Into<String>) {
        self.checked.entry(promise).or_default().push(what.into());
    }

    /// Notes a violation, with everything that names it.
    pub fn violation(&mut self, promise: Promise, of: impl Into<String>, what: impl Into<String>) {
        self.violations.push(Violation { promise, of: of.into(), what: what.into() });
    }

    /// Whether all promises hold.
    pub fn verdict(&self) -> Verdict {
        Verdict { violations: self.violations.len() }
    }

    /// True when nothing was found wrong.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Both together.
    pub fn and(mut self, other: Report) -> Report {
        for (promise, what) in other.checked {
            self.checked.entry(promise).or_default().extend(what);
        }
        self.violations.extend(other.violations);
        self
    }

    /// Everything that was found wrong.
    #[cfg(test)]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

/// How many looks in a row have found something wrong with the same thing. What is in motion between two databases
/// looks wrong for a moment; what is wrong stays so.
#[derive(Debug, Default)]
pub struct Suspects {
    looks: HashMap<(Promise, String), usize>,
}

impl Suspects {
    /// Takes one more look in.
    pub fn see(&mut self, report: &Report) {
        let before = std::mem::take(&mut self.looks);
        for Violation { promise, of, .. } in &report.violations {
            let key = (*promise, of.clone());
            let seen = before.get(&key).map_or(1, |looks| looks + 1);
            self.looks.insert(key, seen);
        }
    }

    /// True when nothing has been wrong for longer than one look.
    pub fn are_fresh(&self) -> bool {
        self.looks.values().all(|looks| *looks == 1)
    }

    /// Strikes from the newest look what has not been wrong in `looks` looks in a row.
    pub fn sentence(&self, mut report: Report, looks: usize) -> Report {
        report.violations.retain(|found| {
            self.looks.get(&(found.promise, found.of.clone())).is_some_and(|seen| *seen >= looks)
        });
        report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = |promise: Promise| self.violations.iter().filter(move |found| found.promise == promise);
        for (promise, looked_at) in &self.checked {
            let mark = if broken(*promise).next().is_none() { "✓" } else { "✗" };
            writeln!(f, "{mark} {promise:?} {} ({})", promise.says(), looked_at.join(", "))?;
        }
        for promise in [Promise::I1, Promise::I2, Promise::I3, Promise::I4, Promise::I5, Promise::I6] {
            for found in broken(promise).take(PRINTED) {
                writeln!(f, "  {found}")?;
            }
            if let Some(more) = broken(promise).count().checked_sub(PRINTED).filter(|more| *more > 0) {
                writeln!(f, "  {promise:?} and {more} more")?;
            }
        }
        match self.violations.len() {
            0 => writeln!(f, "no violations"),
            1 => writeln!(f, "1 violation"),
            n => writeln!(f, "{n} violations"),
        }
    }
}
