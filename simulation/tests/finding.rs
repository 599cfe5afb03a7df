//! What the simulation promises of itself: it is deterministic, the platform's protocol holds in it, and each defect is
//! found.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use clap::ValueEnum;
use viscount_simulation::{
    choice::Choices,
    defect::Defect,
    record::Record,
    run::{EPISODE, episode, replay, run, shrink},
};

#[test]
fn nothing_is_lost_doubled_or_oversold() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 1..=4 {
        let run = run(seed, 50_000, None);
        if let Some((record, violation)) = run.failure {
            let small = shrink(&record, None);
            panic!("seed {seed}: {violation}\n{}", replay(&small, None, true).trace.join("\n"));
        }
        for (status, many) in run.standing {
            *ends.entry(status).or_insert(0) += many;
        }
    }
    // Else it would say little.
    for status in ["completed", "cancelled", "rejected", "refunded", "partially_refunded"] {
        assert!(ends[status] >= 2, "{status} in {ends:?}");
    }
}

#[test]
fn one_seed_is_one_run() {
    let once = || episode(Choices::seeded(7), None, EPISODE, true);
    let (first, second) = (once(), once());
    assert!(first.trace.len() > 200);
    assert_eq!(first.trace, second.trace);
    assert_eq!(first.record, second.record);
    let again = replay(&first.record, None, true);
    assert_eq!(again.trace, first.trace, "the record alone is the run");
}

#[test]
fn each_defect_is_found_and_made_small() {
    for defect in Defect::value_variants() {
        let found = (1..=20).find_map(|seed| {
            let run = run(seed, 50_000, Some(*defect));
            run.failure.map(|(record, violation)| (run.steps, record, violation))
        });
        let (steps, record, violation) = found.unwrap_or_else(|| panic!("{defect:?} is not found"));
        let small = shrink(&record, Some(*defect));
        println!("{defect:?}: {violation} ({steps} steps, {} made {})", record.len(), small.len());
        assert!(replay(&small, Some(*defect), false).violation.is_some());
        assert!(small.len() <= record.len());
        assert_eq!(replay(&small, None, false).violation, None, "it is the defect that fails");
    }
}

#[test]
fn a_record_comes_back_from_its_file() {
    let file = std::env::temp_dir().join(format!("simulation-{}.json", std::process::id()));
    let record = Record {
        violation: "something".to_owned(),
        seed: 3,
        defect: Some("guard-off".to_owned()),
        steps: vec![vec![1, 0, 2], vec![]],
    };
    record.write(&file).unwrap();
    assert_eq!(Record::read(&file).unwrap(), record);
    std::fs::write(&file, "{}").unwrap();
    assert!(Record::read(&file).unwrap_err().to_string().contains("is no record of a run"));
    std::fs::remove_file(&file).unwrap();
    assert!(Record::read(&file).is_err());
}
