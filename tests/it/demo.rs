//! The first thing that a stranger does.

use crate::platform::viscount;

#[test]
fn the_demo_ends_as_it_should_on_an_empty_machine() {
    let home = tempfile::tempdir().unwrap();
    let output = viscount(home.path()).args(["demo", "--exit"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for status in ["created", "validated", "paid", "completed", "rejected", "cancelled", "partially_refunded"]
    {
        assert!(said.contains(status), "{status} is missing: {said}");
    }
    // What it has left behind is in order, platform running or not.
    let audit = viscount(home.path()).args(["audit"]).output().unwrap();
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}
