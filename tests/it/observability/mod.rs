//! What an operator sees: dashboards and alerts, before a real Prometheus that watches a real platform.

mod load;
mod prometheus;

use std::{process::Command, time::Instant};

use serde_json::json;

use self::{
    load::Load,
    prometheus::{Prometheus, configuration, programs},
};
use crate::platform::{Platform, block_on};

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
fn a_panic_storm_raises_its_alert() {
    let Some(programs) = programs("the storm") else { return };
    block_on(async {
        let platform = Platform::start_with([("VISCOUNT_FAULTS", "1".to_owned())]).await;
        let prometheus = Prometheus::watching(&programs, &platform.url).await;
        let load = Load::new(&platform).await;
        tokio::join!(load.orders(30), load.visitors());
        load.customers().await;
        assert!(prometheus.firing("ActorRestartStorm").await.is_empty(), "nothing has fallen so far");

        load.fault(&json!({"kind": "panic", "actor": "order", "every": 10})).await;
        let began = Instant::now();
        load.orders(60).await;
        let alert = prometheus.until_firing("ActorRestartStorm").await;
        println!("it fires {:?} after the storm began: {}", began.elapsed(), alert["annotations"]["summary"]);
        assert_eq!(
            (&alert["labels"]["service"], &alert["labels"]["actor"]),
            (&json!("orders"), &json!("order"))
        );
    });
}
