//! The faults that a configuration may ask for. They are read and checked as the services that obey them do it, so that what
//! is taken here is not refused there.

use serde::Deserialize as _;
use serde_json::Value;
use viscount_actors::faults::{BadFault, Fault};

use super::settings::Wrong;

/// Faults at once.
const MOST: usize = 64;

/// What is wrong with the faults.
pub fn check(value: &Value, wrong: &mut Vec<Wrong>) {
    let Some(faults) = value.as_array() else {
        wrong.push(Wrong::at("/faults", "must be a list of faults"));
        return;
    };
    if faults.len() > MOST {
        wrong.push(Wrong::at("/faults", format!("at most {MOST} faults")));
    }
    for (index, fault) in faults.iter().take(MOST).enumerate() {
        let at = format!("/faults/{index}");
        match Fault::deserialize(fault) {
            Err(error) => wrong.push(Wrong::at(at, error.to_string())),
            Ok(fault) => match fault.check() {
                Ok(()) => {}
                Err(BadFault::Field { field, problem }) => {
                    wrong.push(Wrong::at(format!("{at}/{field}"), problem))
                }
                Err(error) => wrong.push(Wrong::at(at, error.to_string())),
            },
        }
    }
}
