//! The queries of every panel and annotation, as Grafana would send them.

use std::{fs, path::Path};

use serde_json::Value;

/// One query, and where it is from.
#[derive(Clone)]
pub struct Asked {
    pub from: String,
    pub query: String,
}

/// What Grafana puts in place of its variables: everything, and windows for scrapes of a second.
const VARIABLES: [(&str, &str); 5] = [
    ("$service", ".*"),
    ("$instance", ".*"),
    ("$__rate_interval", "1m"),
    ("$__range", "10m"),
    ("$__interval", "5s"),
];

/// Every query of every dashboard.
pub fn of_dashboards() -> Vec<Asked> {
    let mut found = Vec::new();
    for (file, board) in dashboards() {
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                found.push(asked(&file, &panel["title"], &target["expr"]));
            }
        }
        for note in board["annotations"]["list"].as_array().unwrap() {
            found.push(asked(&file, &note["name"], &note["expr"]));
        }
    }
    found
}

/// What variables are made of: label, metric.
pub fn of_variables() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (_, board) in dashboards() {
        for variable in board["templating"]["list"].as_array().unwrap() {
            if let Some(inside) = variable["definition"].as_str() {
                let inside = inside.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
                let (metric, label) = inside.unwrap().split_once(", ").unwrap();
                found.push((label.to_owned(), metric.to_owned()));
            }
        }
    }
    found
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/grafana/dashboards");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let board = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
        (entry.file_name().into_string().unwrap(), board)
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

fn asked(file: &str, title: &Value, query: &Value) -> Asked {
    let mut text = query.as_str().unwrap().to_owned();
    for (variable, value) in VARIABLES {
        text = text.replace(variable, value);
    }
    assert!(!text.contains('$'), "a variable that the test does not know: {text}");
    Asked { from: format!("{file}, {}", title.as_str().unwrap()), query: text }
}

/// True when there is a number in it.
pub fn has_data(series: &[Value]) -> bool {
    let number = |sample: &Value| sample[1].as_str().is_some_and(|text| text != "NaN");
    series.iter().any(|one| one["values"].as_array().is_some_and(|values| values.iter().any(number)))
}
