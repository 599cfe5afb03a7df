//! How often something is said that goes on for long: an outage is news once, and then a reminder.

use std::time::{Duration, Instant};

/// Between two reminders.
const PACE: Duration = Duration::from_secs(60);

/// Says when something is to be told: at once the first time, then once a minute for as long as it goes on.
#[derive(Debug, Default)]
pub struct Seldom(Option<Instant>);

impl Seldom {
    /// True when it is to be told now.
    pub fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= PACE);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_told_and_the_next_one_is_not() {
        let mut seldom = Seldom::default();
        assert_eq!([seldom.is_due(), seldom.is_due()], [true, false]);
        seldom.0 = Instant::now().checked_sub(PACE);
        assert_eq!([seldom.is_due(), seldom.is_due()], [true, false]);
    }
}
