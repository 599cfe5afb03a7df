//! What the command line says when something is wrong.

use std::net::TcpListener;

use crate::platform::viscount;

fn refused(variables: &[(&str, &str)]) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = viscount(home.path());
    command.arg("up").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

#[test]
fn a_wrong_configuration_is_one_line_that_names_the_variable() {
    for (name, value) in [
        ("VISCOUNT_PORT", "eighty"),
        ("ORDERS_STOCK_DEADLINE", "soon"),
        ("ORDERS_FULFILMENT", "by owl"),
        ("INVENTORY_PORT", "70000"),
        ("DATABASE_URL", "mysql://localhost"),
        ("VISCOUNT_FAULT_INJECTION", "perhaps"),
    ] {
        let (code, said) = refused(&[(name, value)]);
        assert_eq!((code, said.lines().count()), (2, 1), "{name}={value}: {said}");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_the_variable_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for name in ["ORDERS_PORT", "VISCOUNT_PORT"] {
        let (code, said) = refused(&[(name, &port)]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(&port) && said.contains(name), "{said}");
    }
}

#[test]
fn what_cannot_be_imported_is_told() {
    let home = tempfile::tempdir().unwrap();
    let output = viscount(home.path()).args(["import", "nothing-there.json"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing-there.json"));
}
