#![allow(clippy::unwrap_used)]
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use std::thread;

use opentelemetry::trace::Tracer as _;

use super::*;
use crate::telemetry::metrics;
use crate::telemetry::traces::TIMEOUT;

/// Spans that end as soon as they begin.
fn put(tracer: &SdkTracer, spans: usize) {
    (0..spans).for_each(|_| drop(tracer.start("step")));
}

/// A collector that answers each request like this, the last answer again and again; `None`: never.
fn collector(answers: Vec<Option<&'static str>>) -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, asks) = channel();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for (at, stream) in listener.incoming().flatten().enumerate() {
            read(&stream);
            match answers[at.min(answers.len() - 1)] {
                Some(answer) => {
                    let head = format!("HTTP/1.1 {answer}\r\nconnection: close\r\n");
                    let head =
                        if answer.contains("content-length") { head } else { head + "content-length: 0\r\n" };
                    let _ = (&stream).write_all((head + "\r\n").as_bytes());
                }
                None => silent.push(stream),
            }
            let _ = asked.send(());
        }
    });
    (url, asks)
}

fn read(mut stream: &TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let _ = stream.read_exact(&mut vec![0; length.unwrap_or(0)]);
}

fn start(url: String, timeout: Duration) -> (Exporter, SdkTracer) {
    metrics::install();
    Exporter::start(TracesConfig { timeout, ..TracesConfig::to(url) }).unwrap()
}

fn count(series: &str) -> u64 {
    let text = metrics::render();
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0)
}

fn dropped(reason: &str) -> u64 {
    count(&format!("traces_dropped_total{{reason=\"{reason}\"}}"))
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !there() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {}", metrics::render());
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_collector_that_refuses_connections_costs_the_spans_and_nothing_else() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_exporter, tracer) = start(format!("http://{gone}"), TIMEOUT);
    put(&tracer, 7);
    wait_for("seven are dropped", || dropped("unreachable") == 7);
}

#[test]
fn a_collector_that_never_answers_does_not_hold_up_whoever_ends_a_span() {
    let (url, asks) = collector(vec![None]);
    let (_exporter, tracer) = start(url, TIMEOUT);
    put(&tracer, 1);
    asks.recv_timeout(Duration::from_secs(10)).unwrap();
    // The exporter is stuck with the first batch by now.
    let full = dropped("queue_full");
    let began = std::time::Instant::now();
    put(&tracer, QUEUE + 5_000);
    let took = began.elapsed();
    assert_eq!(dropped("queue_full") - full, 5_000);
    assert!(took < TIMEOUT / 4, "{took:?}");
}

#[test]
fn a_collector_that_is_too_slow_is_given_up_after_a_while() {
    let (url, _asks) = collector(vec![None]);
    let (_exporter, tracer) = start(url, Duration::from_millis(100));
    put(&tracer, 3);
    wait_for("three are dropped", || dropped("timeout") == 3);
}

#[test]
fn a_collector_that_has_too_much_to_do_is_asked_again_when_it_says() {
    for answer in ["429 Too Many Requests\r\nretry-after: 0", "503 Service Unavailable"] {
        let before = (count("traces_exported_total"), dropped("overloaded"));
        // Once it has room again nothing is lost.
        let (url, asks) = collector(vec![Some(answer), Some("200 OK")]);
        let (_exporter, tracer) = start(url, TIMEOUT);
        put(&tracer, 5);
        wait_for("five are taken", || count("traces_exported_total") >= before.0 + 5);
        assert_eq!(asks.try_iter().count(), 2, "{answer}");
        assert_eq!(dropped("overloaded"), before.1);
        // As long as it has none they are dropped in the end.
        let (url, asks) = collector(vec![Some(answer)]);
        let (_exporter, tracer) = start(url, TIMEOUT);
        put(&tracer, 4);
        wait_for("four are dropped", || dropped("overloaded") == before.1 + 4);
        assert_eq!(asks.try_iter().count(), TRIES, "{answer}");
    }
}

#[test]
fn what_a_collector_does_not_want_is_not_sent_again() {
    let (url, asks) = collector(vec![Some("400 Bad Request")]);
    let (_exporter, tracer) = start(url, TIMEOUT);
    put(&tracer, 6);
    wait_for("six are dropped", || dropped("refused") == 6);
    assert_eq!(asks.try_iter().count(), 1);

    // A partial success: two spans rejected (field 1 of a message in field 1).
    let (url, _asks) = collector(vec![Some("200 OK\r\ncontent-length: 4\r\n\r\n\x0a\x02\x08\x02")]);
    let (_exporter, tracer) = start(url, TIMEOUT);
    put(&tracer, 6);
    wait_for("two are dropped", || dropped("rejected") == 2);
}

#[test]
fn an_endpoint_or_a_header_that_cannot_be_is_told_without_its_value() {
    let refused = |config: TracesConfig| post::client(&config).err().unwrap();
    for endpoint in ["collector:4318", "ftp://collector", ""] {
        assert!(refused(TracesConfig::to(endpoint)).contains("address"), "{endpoint}");
    }
    let headers = vec![("authorization".to_owned(), "secret\nvalue".to_owned())];
    let config = TracesConfig { headers, ..TracesConfig::to("http://collector:4318") };
    assert!(!refused(config).contains("secret"));
}
