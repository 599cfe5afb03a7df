//! From suspicion to violation to exit code.

use super::*;

fn suspicion(of: &str) -> Report {
    let mut report = Report::default();
    report.violation(Promise::I3, of, "in motion");
    report
}

#[test]
fn only_what_stays_wrong_is_wrong() {
    let mut suspects = Suspects::default();
    for of in ["a", "b", "b"] {
        suspects.see(&suspicion(of));
    }
    assert!(suspects.sentence(suspicion("a"), 2).is_clean(), "seen once, and not lately");
    assert!(!suspects.sentence(suspicion("b"), 2).is_clean());
    assert!(suspects.sentence(suspicion("b"), 3).is_clean());
    assert!(!suspects.are_fresh());
    suspects.see(&suspicion("c"));
    assert!(suspects.are_fresh());
    suspects.see(&suspicion("b"));
    assert!(suspects.sentence(suspicion("b"), 2).is_clean(), "it was right in between");
}

#[tokio::test]
async fn what_stays_wrong_is_wrong_after_many_looks() {
    let world = Broken::in_parts(&[Part::Orders]).await;
    world.run(Part::Orders, format!("update orders set version = 9 where id = '{COMPLETED}'")).await;
    let patience = Patience { looks: 4, pause: Duration::from_millis(1) };
    let report = world.report(&Terms { patience, ..terms() }).await;
    is_broken(&report, Promise::I5, COMPLETED, "v9");
}

#[test]
fn a_verdict_is_an_exit_code() {
    assert_eq!(
        format!("{:?}", Report::default().verdict().exit_code()),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
    assert_eq!(
        format!("{:?}", suspicion("a").verdict().exit_code()),
        format!("{:?}", std::process::ExitCode::FAILURE)
    );
}

#[test]
fn a_report_is_bounded() {
    let mut report = Report::default();
    for n in 0..1_000 {
        report.violation(Promise::I1, format!("product {n}"), "wrong");
    }
    let text = report.to_string();
    assert!(text.contains("and 800 more") && text.contains("1000 violations"), "{text}");
}
