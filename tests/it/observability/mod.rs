//! What an operator sees: dashboards and alerts, before a real Prometheus that watches a real platform.

mod load;
mod prometheus;
mod queries;

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::sleep;

use self::{
    load::Load,
    prometheus::{Prometheus, configuration, programs},
    queries::{Asked, has_data, of_dashboards, of_variables},
};
use crate::platform::{Platform, block_on, eventually};

/// Metrics of what does not happen here, and why. Queries of them may be empty.
const WITHOUT_DATA: [(&str, &str); 9] = [
    ("relay_leads", "there are no brokers"),
    ("relay_blocked", "there are no brokers"),
    ("relay_published_position", "there are no brokers"),
    ("log_transit_seconds", "there are no brokers"),
    ("log_out_of_range_total", "there are no brokers"),
    ("log_unreadable_messages_total", "there are no brokers"),
    ("schema_registry_failures_total", "there is no schema registry"),
    ("inventory_sold_without_hold_total", "goods are not promised twice"),
    ("traces_dropped_total", "no traces are exported"),
];

#[test]
fn the_rules_are_valid_and_do_what_their_tests_say() {
    let Some(programs) = programs("the rules") else { return };
    let promtool = |arguments: [&str; 2], folder: &str| {
        let mut files: Vec<_> = std::fs::read_dir(configuration().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty());
        let output = Command::new(programs.join("promtool")).args(arguments).args(files).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    };
    promtool(["check", "rules"], "rules");
    promtool(["test", "rules"], "tests");
}

#[test]
fn a_panic_storm_raises_its_alert_and_no_panel_or_rule_is_without_data() {
    let Some(programs) = programs("the panels and the storm") else { return };
    block_on(async {
        let platform = Platform::start_with([("VISCOUNT_FAULTS", "1".to_owned())]).await;
        let prometheus = Prometheus::watching(&programs, &platform.url).await;
        let load = Load::new(&platform).await;
        // Its deadline is half a minute away; the rest goes on meanwhile.
        let (stuck, _) = load.order_with(json!({"kind": "stuck", "times": 1})).await;
        tokio::join!(load.touch(&stuck), load.orders(30), load.visitors());
        load.customers().await;
        assert!(prometheus.firing("ActorRestartStorm").await.is_empty(), "nothing has fallen so far");

        let storm = load.fault(&json!({"kind": "panic", "actor": "order", "every": 10})).await;
        let began = Instant::now();
        load.orders(60).await;
        let alert = prometheus.until_firing("ActorRestartStorm").await;
        println!("it fires {:?} after the storm began: {}", began.elapsed(), alert["annotations"]["summary"]);
        assert_eq!(
            (&alert["labels"]["service"], &alert["labels"]["actor"]),
            (&json!("orders"), &json!("order"))
        );
        load.clear(&storm).await;

        let (sick, fault) = load.order_with(json!({"kind": "panic"})).await;
        let quarantined = eventually("the alert EntityQuarantined", || async {
            load.touch(&sick).await;
            prometheus.firing("EntityQuarantined").await.into_iter().next()
        });
        assert_eq!(quarantined.await["labels"]["kind"], "order");
        load.clear(&fault).await;
        load.release(&sick).await;

        let letter = load.dead_letter().await;
        prometheus.until_firing("DeadLettersOpen").await;
        load.mend(&letter).await;
        load.orders(10).await;

        all_have_data(&prometheus).await;
        rules_are_healthy(&prometheus).await;
        platform.audit().await;
    });
}

/// Each query is asked until it shows something, for a minute at most.
async fn all_have_data(prometheus: &Prometheus) {
    for (label, metric) in of_variables() {
        assert!(!prometheus.values(&label, Some(&metric)).await.is_empty(), "{metric} has no {label}");
    }
    let may_be_empty = |asked: &Asked| WITHOUT_DATA.iter().any(|(metric, _)| asked.query.contains(metric));
    let mut without = of_dashboards();
    let (all, began) = (without.len(), Instant::now());
    loop {
        let mut still = Vec::new();
        for asked in without {
            match prometheus.history(&asked.query).await {
                Ok(series) if has_data(&series) || may_be_empty(&asked) => {}
                Ok(_) => still.push(asked),
                Err(error) => panic!("{}: {} fails: {error}", asked.from, asked.query),
            }
        }
        without = still;
        if without.is_empty() {
            println!("{all} queries of dashboards");
            return;
        }
        let empty: Vec<_> = without.iter().map(|asked| format!("{}: {}", asked.from, asked.query)).collect();
        assert!(began.elapsed() < Duration::from_secs(60), "without data:\n{}", empty.join("\n"));
        sleep(Duration::from_millis(200)).await;
    }
}

/// Rules are evaluated without an error, on metrics that are there, and say what they mean without a hole.
async fn rules_are_healthy(prometheus: &Prometheus) {
    let names: BTreeSet<String> = prometheus.values("__name__", None).await.into_iter().collect();
    let known = metrics_of_the_reference();
    let rules = prometheus.rules().await;
    assert!(rules.len() > 50, "{} rules", rules.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        let query = rule["query"].as_str().unwrap();
        for word in query.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == ':')) {
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            let recorded = word.contains(':') && !word.starts_with(':');
            if (recorded || known.contains(base)) && !WITHOUT_DATA.iter().any(|(metric, _)| *metric == base) {
                assert!(names.contains(word), "{} asks for {word}, which is not there", rule["name"]);
            }
        }
        for alert in rule["alerts"].as_array().into_iter().flatten() {
            for (name, text) in alert["annotations"].as_object().unwrap() {
                let text = text.as_str().unwrap();
                assert!(
                    !text.is_empty() && !text.contains("<no value>") && !text.contains("<error"),
                    "{name}: {text}"
                );
            }
        }
    }
}

fn metrics_of_the_reference() -> BTreeSet<String> {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let reference = std::fs::read_to_string(reference).unwrap();
    // Tables of labels are in there too.
    let is_metric = |line: &str| {
        ["counter", "gauge", "histogram"].iter().any(|kind| line.contains(&format!("` | {kind}")))
    };
    let name = |line: &str| {
        let rest = line.strip_prefix("| `").filter(|_| is_metric(line))?;
        let end = rest.find(['{', '`'])?;
        Some(rest[..end].to_owned())
    };
    let found: BTreeSet<String> = reference.lines().filter_map(name).collect();
    assert!(found.contains("actor_restarts_total"), "{found:?}");
    found
}

/// So that the list above does not outlive its reasons.
#[test]
fn what_may_be_empty_is_asked_for_and_exists() {
    let known = metrics_of_the_reference();
    let rules: String = std::fs::read_dir(configuration().join("rules"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let asked: Vec<Asked> = of_dashboards();
    for (metric, why) in WITHOUT_DATA {
        assert!(known.contains(metric), "{metric} ({why}) is no metric");
        assert!(
            rules.contains(metric) || asked.iter().any(|asked| asked.query.contains(metric)),
            "nobody asks for {metric} ({why})"
        );
    }
}
