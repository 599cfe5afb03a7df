//! For unit tests: a platform whose program is a few lines of shell.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{Engine, Plan, Platform};

/// A launcher has a server that does nothing; a service does what the variable `DO` says.
const PROGRAM: &str = r#"#!/bin/sh
[ "$1" = serve ] && eval "$DO"
echo so it begins >&2
sleep 600 &
printf '{"pid":%s}\n' $!
wait $!
"#;

/// Prepared; its parts are started one by one.
pub(crate) async fn prepared(folder: &Path) -> Platform {
    let viscount = folder.join("viscount");
    fs::write(&viscount, PROGRAM).unwrap();
    fs::set_permissions(&viscount, fs::Permissions::from_mode(0o755)).unwrap();
    let plan = Plan { engine: Engine::Embedded, ..Plan::new(viscount) };
    Platform::prepare(plan, &folder.join("run")).await.unwrap()
}
