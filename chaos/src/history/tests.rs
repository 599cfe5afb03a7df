//! Histories, written and read back.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

fn folder() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    (folder, path)
}

fn calls() -> Vec<Call> {
    let (key, order, buyer) = ("a-key".to_owned(), Uuid::now_v7(), Uuid::now_v7());
    let lines = vec![Wanted { product: Uuid::now_v7(), quantity: 3 }];
    vec![
        Call::CreateProduct { sku: "a-sku".to_owned(), key: key.clone() },
        Call::Adjust { product: Uuid::now_v7(), delta: -4, key: key.clone() },
        Call::PlaceOrder { buyer, key: key.clone(), lines, payment_token: "tok_visa".to_owned() },
        Call::ReadOrder { order, buyer },
        Call::Cancel { order, buyer, key: None },
        Call::Refund { order, buyer, key, amount: Some(100) },
    ]
}

fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Ok { status: 201, body: json!({"id": "x", "total": 1.5, "lines": [null]}), replayed: true },
        Outcome::Refused { status: 409, problem: KEY_IN_USE.to_owned() },
        Outcome::Unknown { status: Some(503), why: "Service Unavailable".to_owned(), retriable: true },
        Outcome::Unknown { status: None, why: "no \"answer\"\nin time".to_owned(), retriable: false },
    ]
}

#[tokio::test]
async fn what_is_written_is_read_back() {
    let (_folder, path) = folder();
    let recorder = Recorder::create(&path).unwrap();
    let mut wanted = Vec::new();
    for call in calls() {
        for outcome in outcomes() {
            recorder.operation(5, "http://a", call.clone()).ended(outcome.clone()).await;
            wanted.push((call.clone(), outcome));
        }
    }
    let ends = [
        StreamEnd::Settled,
        StreamEnd::Closed { code: 1013 },
        StreamEnd::Refused { status: 503 },
        StreamEnd::Broken { why: "reset".to_owned() },
    ];
    let order = Uuid::now_v7();
    for end in &ends {
        let mut stream = recorder.stream(6, order, 2);
        assert_eq!((stream.seen(), stream.frames()), (2, 0));
        stream.frame(3, "OrderPaymentProcessed".to_owned(), json!({"version": 3}));
        assert_eq!((stream.seen(), stream.frames()), (3, 1));
        stream.ended(end.clone()).await;
    }
    assert_eq!(recorder.close().await.unwrap(), 28);

    let lines = read(&path).unwrap();
    assert_eq!(lines.len(), 28);
    for (number, line) in lines.into_iter().enumerate() {
        match line {
            Line::Operation(operation) => {
                assert_eq!((operation.id, operation.client), (number as u64, 5));
                assert_eq!(operation.door, "http://a");
                assert_eq!((operation.call, operation.outcome), wanted[number]);
                assert!(operation.begun <= operation.ended);
            }
            Line::Stream(stream) => {
                assert_eq!(
                    (stream.id, stream.client, stream.order, stream.after),
                    (number as u64, 6, order, 2)
                );
                assert_eq!(stream.end, ends[number - 24]);
                let frame = &stream.frames[0];
                assert_eq!((frame.version, &*frame.event), (3, "OrderPaymentProcessed"));
                assert_eq!(frame.body, json!({"version": 3}));
                assert!(stream.begun <= frame.at && frame.at <= stream.ended);
            }
        }
    }
}

#[tokio::test]
async fn what_was_given_up_is_unknown() {
    let (_folder, path) = folder();
    let recorder = Recorder::create(&path).unwrap();
    recorder.begin_timeline();
    let first = recorder.operation(1, "http://a", calls().remove(2));
    let mut stream = recorder.stream(2, Uuid::now_v7(), 0);
    stream.established();
    stream.frame(1, "OrderCreated".to_owned(), json!({}));
    recorder.operation(3, "http://a", calls().remove(3)).ended(outcomes().remove(0)).await;
    drop(first);
    drop(stream);
    assert_eq!(recorder.close().await.unwrap(), 3);
    let lines = read(&path).unwrap();
    let Line::Operation(second) = &lines[0] else { panic!("{lines:?}") };
    assert_eq!(second.id, 2, "numbers are in the order of begins, lines in that of ends");
    let Line::Operation(first) = &lines[1] else { panic!("{lines:?}") };
    let given_up = Outcome::Unknown { status: None, why: "given up".to_owned(), retriable: false };
    assert_eq!((first.id, &first.outcome), (0, &given_up));
    let Line::Stream(stream) = &lines[2] else { panic!("{lines:?}") };
    assert_eq!((stream.id, stream.frames.len()), (1, 1));
    assert_eq!(stream.end, StreamEnd::Broken { why: "given up".to_owned() });
    let seconds = recorder.seconds();
    assert_eq!(seconds.iter().map(|second| second.unknown).sum::<u32>(), 1);
    assert_eq!(seconds.last().unwrap().open_streams, 0);
}

#[tokio::test]
async fn nothing_is_dropped_when_the_writer_is_behind() {
    let (_folder, path) = folder();
    let recorder = Recorder::create(&path).unwrap();
    let clients = (0..50).map(|client| {
        let recorder = recorder.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                recorder.operation(client, "http://a", calls().remove(2)).ended(outcomes().remove(0)).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert_eq!(recorder.close().await.unwrap(), 10_000);
    let lines = read(&path).unwrap().into_iter().map(|line| match line {
        Line::Operation(operation) => operation.id,
        Line::Stream(stream) => panic!("{stream:?}"),
    });
    let mut ids: Vec<u64> = lines.collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..10_000));
}

#[tokio::test]
async fn what_has_come_is_in_the_file_before_it_is_closed() {
    let (_folder, path) = folder();
    let recorder = Recorder::create(&path).unwrap();
    recorder.operation(1, "http://a", calls().remove(0)).ended(outcomes().remove(0)).await;
    let deadline = Instant::now() + std::time::Duration::from_secs(20);
    while read(&path).map_or(0, |lines| lines.len()) == 0 {
        assert!(Instant::now() < deadline, "nothing is written");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_history_is_said_to_be_none() {
    let (folder, path) = folder();
    let said = |path: &std::path::Path| read(path).unwrap_err().to_string();
    assert!(said(&path).contains("cannot be used"), "{}", said(&path));
    let recorder = Recorder::create(&path).unwrap();
    for call in calls() {
        recorder.operation(1, "http://a", call).ended(outcomes().remove(0)).await;
    }
    recorder.close().await.unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(said(&path).ends_with("breaks off in line 6"), "{}", said(&path));
    std::fs::write(&path, whole.replacen("\"place_order\"", "\"placed\"", 1)).unwrap();
    assert!(said(&path).starts_with("line 3 of the history"), "{}", said(&path));
    std::fs::write(&path, "").unwrap();
    assert_eq!(read(&path).unwrap(), []);
    let nowhere = folder.path().join("nowhere/history.jsonl");
    assert!(matches!(Recorder::create(&nowhere), Err(HistoryError::Io { .. })));
}

#[tokio::test]
async fn a_history_that_cannot_be_written_is_said_to_be_incomplete() {
    let recorder = Recorder::create("/dev/full".as_ref()).unwrap();
    for _ in 0..3_000 {
        recorder.operation(1, "http://a", calls().remove(2)).ended(outcomes().remove(0)).await;
    }
    let error = recorder.close().await.unwrap_err();
    assert!(matches!(error, HistoryError::Io { .. }), "{error}");
}
