//! `faults`: what is to go wrong in this service, on demand.

use serde_json::Value;
use viscount_actors::faults::{Fault, Faults};

use super::settings::Setting;

/// The whole list, in place of what was there, by whomever it was set. Where faults are not allowed it is refused.
pub struct FaultsSetting(pub Faults);

impl Setting for FaultsSetting {
    fn key(&self) -> &'static str {
        "faults"
    }

    fn apply(&self, value: Option<&Value>) -> Result<(), String> {
        let Some(value) = value else {
            self.0.clear_all();
            return Ok(());
        };
        let faults: Vec<Fault> =
            serde::Deserialize::deserialize(value).map_err(|_| "is not a list of faults".to_owned())?;
        self.0.replace(faults).map_err(|bad| bad.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;
    use viscount_actors::{Intensity, Supervisor};

    use super::*;

    #[test]
    fn a_list_replaces_what_was_there_and_a_bad_one_changes_nothing() {
        crate::testing::run(async {
            let tree = Supervisor::root("testing", Intensity::default(), |_| {});
            let setting = FaultsSetting(tree.faults());
            let list = json!([{"kind": "panic", "actor": "order", "every": 50}]);
            assert_eq!(setting.apply(Some(&list)), Err("faults are not allowed here".to_owned()));
            assert_eq!(setting.apply(None), Ok(()));
            tree.faults().allow();
            setting.apply(Some(&list)).unwrap();
            assert!(setting.apply(Some(&json!([{"kind": "panic"}]))).unwrap_err().starts_with("actor"));
            assert!(setting.apply(Some(&json!([{"kind": "odd", "secret": 1}]))).is_err());
            assert_eq!(tree.faults().list().len(), 1);
            setting.apply(None).unwrap();
            assert_eq!(tree.faults().list(), []);
        });
    }
}
