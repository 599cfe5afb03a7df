//! What the command line says when something is wrong.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

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
        ("ORDERS_HANDLER_DEADLINE", "100ms"),
        ("INVENTORY_HANDLER_DEADLINE", "2h"),
        ("ORDERS_FULFILMENT", "by owl"),
        ("INVENTORY_PORT", "70000"),
        ("DATABASE_URL", "mysql://localhost"),
        ("VISCOUNT_FAULTS", "perhaps"),
        ("VISCOUNT_FAULT_INJECTION", "perhaps"),
    ] {
        let (code, said) = refused(&[(name, value)]);
        assert_eq!((code, said.lines().count()), (2, 1), "{name}={value}: {said}");
        assert!(said.contains(name), "{said}");
    }
}

#[cfg(feature = "kafka")]
#[test]
fn a_password_for_brokers_that_would_not_be_used_is_refused_and_not_repeated() {
    let variables = [("KAFKA_BROKERS", "127.0.0.1:9092"), ("KAFKA_SASL_PASSWORD", "hunter2")];
    let (code, said) = refused(&variables);
    assert_eq!((code, said.lines().count()), (2, 1), "{said}");
    assert!(said.contains("KAFKA_SECURITY_PROTOCOL") && !said.contains("hunter2"), "{said}");
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

/// Asks a server that gives this one answer; the exit code, and what was said.
fn health(answer: &'static str) -> (i32, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let mut asked = [0; 1024];
        let count = client.read(&mut asked).unwrap();
        assert!(asked[..count].starts_with(b"GET /readyz HTTP/1.1"));
        client.write_all(answer.as_bytes()).unwrap();
    });
    let home = tempfile::tempdir().unwrap();
    let output = viscount(home.path()).args(["health", &url, "--timeout", "20"]).output().unwrap();
    serving.join().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn health_is_the_exit_code_and_says_what_is_wrong() {
    let (code, said) = health("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(code, 0, "{said}");
    let unready = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 14\r\n\r\ndatabase: away";
    let (code, said) = health(unready);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("503") && said.contains("database: away"), "{said}");
    // An answer that leads elsewhere is none.
    let (code, _) = health("HTTP/1.1 302 Found\r\nLocation: /livez\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(code, 1);
}

#[test]
fn health_of_nobody_is_a_failure_and_of_no_url_a_wrong_argument() {
    let nobody = {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", server.local_addr().unwrap())
    };
    let home = tempfile::tempdir().unwrap();
    for (argument, code) in [(nobody.as_str(), 1), ("orders:8084", 2)] {
        let output = viscount(home.path()).args(["health", argument]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{argument}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn health_does_not_wait_for_ever() {
    // It listens, and never says anything.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    let output = viscount(home.path()).args(["health", &url, "--timeout", "1"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&url) && said.contains("timed out"), "{said}");
}
