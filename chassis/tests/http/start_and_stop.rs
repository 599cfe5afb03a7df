//! Ports, and the end of a service.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::app::TestApp;

#[actix_web::test]
async fn a_port_that_is_taken_is_said_in_one_line() {
    let first = TestApp::start().await;
    let port = first.addr().port();
    let error = TestApp::try_start(|spec| spec.port = port).err().expect("the port is taken").to_string();
    assert!(
        error.contains(&port.to_string()) && error.contains("TESTING_PORT") && !error.contains('\n'),
        "{error}"
    );
    let error =
        TestApp::try_start(|spec| spec.host = "no.such.host.invalid".to_owned()).err().expect("no such host");
    assert!(error.to_string().contains("no.such.host.invalid"), "{error}");
}

#[actix_web::test]
async fn what_is_under_way_finishes_and_idle_connections_do_not_hold_the_stop() {
    let app = TestApp::start().await;
    let mut idle = TcpStream::connect(app.addr()).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    let request = app.get("/v1/gate").send();
    let stopping = async {
        app.gate.entered.notified().await;
        let stop = app.http.stop(Duration::from_secs(15));
        let open = async {
            // Let go only once nobody new is let in.
            while TcpStream::connect(app.addr()).await.is_ok() {
                tokio::task::yield_now().await;
            }
            app.gate.open.notify_one();
        };
        let started = Instant::now();
        tokio::join!(stop, open);
        started.elapsed()
    };
    let (answer, took) = tokio::join!(request, stopping);
    assert_eq!(answer.unwrap().text().await.unwrap(), "through");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[actix_web::test]
async fn the_deadline_of_a_stop_is_kept() {
    let app = TestApp::start().await;
    let request = app.get("/v1/gate").send();
    let stopping = async {
        app.gate.entered.notified().await;
        let started = Instant::now();
        app.http.stop(Duration::from_millis(300)).await;
        started.elapsed()
    };
    let (answer, took) = tokio::join!(request, stopping);
    assert!(answer.is_err(), "cut off");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// The next answer on a kept connection: its head in lower case, and whether the connection goes on.
async fn next_answer(connection: &mut TcpStream, path: &str) -> (String, bool) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = connection.read(&mut chunk).await.unwrap();
        answer.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if read == 0 || length.is_some_and(|length| body.len() >= length.trim().parse::<usize>().unwrap()) {
            let goes_on = !head.contains("connection: close");
            if !goes_on {
                assert_eq!(connection.read(&mut chunk).await.unwrap(), 0, "it ends");
            }
            return (head.to_owned(), goes_on);
        }
    }
}

#[actix_web::test]
async fn a_service_that_leaves_ends_each_connection_with_an_answer_and_goes_on_serving() {
    let app = TestApp::start().await;
    let (mut good, mut bad) =
        (TcpStream::connect(app.addr()).await.unwrap(), TcpStream::connect(app.addr()).await.unwrap());
    assert!(next_answer(&mut good, "/livez").await.1);
    assert!(next_answer(&mut bad, "/no/such/path").await.1);
    app.http.leave();
    for (connection, path, status) in [(&mut good, "/livez", "200"), (&mut bad, "/no/such/path", "404")] {
        let (head, goes_on) = next_answer(connection, path).await;
        assert!(head.contains(status) && !goes_on, "{head}");
    }
    let mut new = TcpStream::connect(app.addr()).await.unwrap();
    assert!(!next_answer(&mut new, "/livez").await.1);
}
