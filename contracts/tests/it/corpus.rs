//! The recorded events of every version: `contracts/testdata/v*/events/*.jsonl`.
//!
//! A line is an event in the JSON event format of CloudEvents, as `viscount events tail --decode raw` prints it, and
//! `decoded`: what the version that recorded it understood.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;
use viscount_contracts::{Topic, events};

use crate::schema::contracts;

/// True when what is missing shall be recorded.
pub fn is_recording() -> bool {
    std::env::var_os("RECORD_EVENTS").is_some()
}

pub struct Recorded {
    /// File and line, for messages.
    pub at: String,
    pub topic: Topic,
    pub kind: String,
    pub data: Vec<u8>,
    pub decoded: Value,
}

/// The folder of the version that is being worked on.
pub fn of_this_version() -> PathBuf {
    let [major, minor] = [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR")];
    contracts().join("testdata").join(format!("v{major}.{minor}"))
}

/// Every recorded event of every version.
pub fn read() -> Vec<Recorded> {
    let mut found = Vec::new();
    for version in folder(&contracts().join("testdata")) {
        for file in folder(&version.join("events")) {
            let text = fs::read_to_string(&file).unwrap();
            for (line, number) in text.lines().zip(1..) {
                let at = format!("{}:{number}", file.strip_prefix(contracts()).unwrap().display());
                found.push(recorded(at, &serde_json::from_str(line).unwrap()));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Gives `decoded` to lines of this version that have none yet.
pub fn complete() {
    for file in folder(&of_this_version().join("events")) {
        let text = fs::read_to_string(&file).unwrap();
        let mut completed = String::new();
        for line in text.lines() {
            let mut event: Value = serde_json::from_str(line).unwrap();
            if event.get("decoded").is_none() {
                let Recorded { topic, kind, data, .. } = recorded(String::new(), &event);
                event["decoded"] = events::to_json(topic, &kind, &data).unwrap();
            }
            completed.push_str(&format!("{event}\n"));
        }
        if completed != text {
            fs::write(&file, completed).unwrap();
        }
    }
}

fn recorded(at: String, event: &Value) -> Recorded {
    let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("{at}: no {name}"));
    Recorded {
        topic: text("source").parse().unwrap(),
        kind: text("type").to_owned(),
        data: BASE64.decode(text("data_base64")).unwrap(),
        decoded: event["decoded"].clone(),
        at,
    }
}

fn folder(path: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> =
        fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}
