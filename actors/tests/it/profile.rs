//! Containment needs unwinding: with `panic = "abort"` every promise of this crate would be void.

#[test]
fn panics_unwind() {
    let caught = std::panic::catch_unwind(|| std::panic::panic_any(crate::clerk::Odd));
    assert!(cfg!(panic = "unwind") && caught.is_err());
}

#[test]
fn no_profile_of_the_workspace_aborts() {
    // Asked for when it runs: builds that are shared by two clones remember the place of one of them.
    let manifest = format!("{}/../Cargo.toml", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let text = std::fs::read_to_string(manifest).unwrap();
    let profiles: Vec<&str> = text.split("\n[profile.").skip(1).collect();
    assert!(!profiles.is_empty());
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let aborting: Vec<&str> = lines.filter(|line| line.contains("panic") && line.contains("abort")).collect();
    assert_eq!(aborting, Vec::<&str>::new());
    for profile in ["dev", "release"] {
        let section = profiles.iter().find(|section| section.starts_with(&format!("{profile}]"))).unwrap();
        assert!(section.contains(r#"panic = "unwind""#), "profile {profile} says so");
    }
}
