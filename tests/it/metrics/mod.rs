//! What is measured: each metric is listed once, and shown as it is listed.

mod cardinality;
mod exposition;
mod live;
mod reference;
mod warm;

use std::{collections::BTreeSet, fs, path::Path};

use viscount_chassis::metrics::Kind;

#[test]
fn the_reference_of_metrics_is_up_to_date() {
    let (path, generated) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md"), reference::document());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    let differs = generated.lines().zip(stands.lines()).position(|(wanted, found)| wanted != found);
    assert!(
        stands == generated,
        "docs/metrics.md is out of date from line {}: UPDATE_DOCS=1 cargo test -p viscount --test it metrics::",
        differs.unwrap_or_else(|| stands.lines().count()) + 1
    );
}

#[test]
fn metrics_are_named_as_prometheus_wants_it() {
    let mut names = BTreeSet::new();
    for metric in reference::all() {
        let name = metric.name;
        assert!(names.insert(name), "{name} is listed twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "{name}: counters, and only they, end in _total"
        );
        assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{name}: {:?}", metric.help);
        for label in metric.labels {
            assert!(!label.0.ends_with("id") && !label.1.contains('|'), "{name}: {label:?}");
        }
    }
}

/// Every use of a metric goes through the lists.
#[test]
fn no_metric_is_named_anywhere_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for room in ["actors/src", "chassis/src", "gateway/src", "services", "src"] {
        search(&root.join(room), &mut found);
    }
    assert!(found.is_empty(), "named where they are measured instead of in a list:\n{}", found.join("\n"));
}

fn search(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                search(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // What follows are unit tests.
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for call in ["counter!(", "gauge!(", "histogram!("] {
                for (at, _) in code.match_indices(call) {
                    if code[at + call.len()..].trim_start().starts_with('"') {
                        let line = code[..at].lines().count();
                        found.push(format!("{}:{line}", path.display()));
                    }
                }
            }
        }
    }
}
