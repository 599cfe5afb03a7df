//! A platform that cannot be started: which part, why, and nothing is left of the others.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};

use chaos::platform::{Plan, Platform, PlatformError, program::Program};

use crate::bed::{Folder, assert_tidy, block_on, embedded, processes_in, viscount};

async fn refused(plan: Plan, folder: &Path) -> String {
    let refused = Platform::start(plan, folder).await.unwrap_err();
    assert!(
        matches!(refused, PlatformError::Ended { .. } | PlatformError::Spawn { .. }),
        "it should be the part that is to blame: {refused}"
    );
    assert_eq!(processes_in(folder), Vec::<String>::new());
    assert_tidy(folder);
    refused.to_string()
}

#[test]
fn a_port_that_is_taken_is_named_with_the_part_that_wanted_it() {
    block_on(async {
        let folder = Folder::new();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let mut plan = embedded();
        plan.own.insert("platform-1".to_owned(), vec![("ORDERS_PORT".to_owned(), port.clone())]);
        let said = refused(plan, folder.path()).await;
        assert!(
            said.contains("platform-1") && said.contains(&port) && said.contains("ORDERS_PORT"),
            "{said}"
        );
    });
}

#[test]
fn a_wrong_setting_is_told_as_the_program_tells_it() {
    block_on(async {
        let folder = Folder::new();
        let variables = vec![("ORDERS_FULFILMENT".to_owned(), "by owl".to_owned())];
        let said = refused(Plan { variables, ..embedded() }, folder.path()).await;
        assert!(said.contains("platform-1") && said.contains("ORDERS_FULFILMENT"), "{said}");
    });
}

#[test]
fn a_program_that_is_none_is_refused_before_anything_starts() {
    block_on(async {
        let folder = Folder::new();
        let broken = folder.path().join("viscount");
        std::fs::write(&broken, "#!/bin/sh\necho 'not what you think' >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
        let asked = Program::ask(&broken).await.unwrap_err().to_string();
        assert!(asked.contains("not what you think"), "{asked}");
        let run = folder.path().join("run");
        let said = refused(Plan { viscount: broken, ..embedded() }, &run).await;
        assert!(said.contains("postgres") && said.contains("not what you think"), "{said}");
        let missing = Plan { viscount: folder.path().join("nothing"), ..embedded() };
        let said = Platform::start(missing, &run).await.unwrap_err().to_string();
        assert!(said.contains("postgres cannot be started"), "{said}");

        std::fs::create_dir(run.join("home")).unwrap();
        let said = Platform::start(embedded(), &run).await.unwrap_err().to_string();
        assert!(said.contains("run/home is an earlier run's"), "{said}");

        std::fs::remove_dir(run.join("home")).unwrap();
        std::fs::write(run.join("history.jsonl"), "").unwrap();
        let said = Platform::start(embedded(), &run).await.unwrap_err().to_string();
        assert!(said.contains("run/history.jsonl is an earlier run's"), "{said}");

        let real = Program::ask(&viscount()).await.unwrap();
        assert!(real.has("kafka") && !real.has("owls"), "{real:?}");
    });
}
