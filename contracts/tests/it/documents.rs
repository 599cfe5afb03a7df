//! The generated documents are what the schemas and the recorded events give.

use std::{fs, path::PathBuf};

use crate::{asyncapi, markdown, schema::contracts, yaml};

#[test]
fn the_documents_of_the_events_are_up_to_date() {
    stands("events.md", &markdown::document());
    let head = "# Made of contracts/proto; see contracts/tests/it/main.rs for how to make it anew.\n";
    stands("asyncapi.yaml", &format!("{head}{}", yaml::to_yaml(&asyncapi::document())));
}

fn stands(name: &str, generated: &str) {
    let path: PathBuf = contracts().join("../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, generated).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    let differs = generated.lines().zip(stands.lines()).position(|(wanted, found)| wanted != found);
    assert!(
        stands == generated,
        "docs/{name} is out of date from line {}: UPDATE_DOCS=1 cargo test -p viscount-contracts --test it",
        differs.unwrap_or_else(|| stands.lines().count()) + 1
    );
}
