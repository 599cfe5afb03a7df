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
