//! What an audit has found.

use std::{collections::BTreeMap, fmt, process::ExitCode};

/// The promises, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// What was checked, and what was found wrong.
#[derive(Debug, Default)]
pub struct Report {
    checked: BTreeMap<Promise, Vec<String>>,
    violations: Vec<(Promise, String)>,
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

impl Report {
    /// Notes what was looked at: `1,204 orders`.
    pub fn checked(&mut self, promise: Promise, what: impl Into<String>) {
        self.checked.entry(promise).or_default().push(what.into());
    }

    /// Notes a violation, with everything that names it.
    pub fn violation(&mut self, promise: Promise, what: impl Into<String>) {
        self.violations.push((promise, what.into()));
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

    /// The violations of one promise.
    #[cfg(test)]
    pub fn of(&self, promise: Promise) -> Vec<&str> {
        self.violations.iter().filter(|(of, _)| *of == promise).map(|(_, what)| what.as_str()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (promise, looked_at) in &self.checked {
            let broken = self.violations.iter().filter(|(of, _)| of == promise).count();
            let mark = if broken == 0 { "✓" } else { "✗" };
            writeln!(f, "{mark} {promise:?} {} ({})", promise.says(), looked_at.join(", "))?;
        }
        for (promise, what) in &self.violations {
            writeln!(f, "  {promise:?}: {what}")?;
        }
        match self.violations.len() {
            0 => writeln!(f, "no violations"),
            1 => writeln!(f, "1 violation"),
            n => writeln!(f, "{n} violations"),
        }
    }
}
