use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

/// What a program of ours would write.
fn event(position: i64, version: i32, data: Vec<u8>, traceparent: Option<String>) -> Envelope {
    Envelope {
        id: EventId::new(),
        topic: Topic::Orders,
        position,
        key: Uuid::now_v7(),
        version,
        kind: Cow::Borrowed("OrderCreated"),
        occurred_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
        traceparent,
        data: data.into(),
    }
}

fn message_of(event: &Envelope) -> RawMessage {
    let headers = headers(event, false);
    let headers = headers.as_borrowed();
    let each = (0..headers.count()).filter_map(|index| header_at(headers, index));
    RawMessage {
        partition: 0,
        offset: 0,
        timestamp: None,
        key: None,
        value: Some(event.data.clone()),
        headers: each
            .map(|Header { key, value }| RawHeader {
                name: Some(key.to_owned()),
                value: value.map(Bytes::copy_from_slice),
            })
            .collect(),
    }
}

const NAMES: [&str; 8] = [
    "ce_specversion",
    "ce_id",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_version",
    "ce_position",
    "traceparent",
];

fn any_value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        Just(None),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Some),
        "[0-9TZ:.+-]{0,30}".prop_map(|text| Some(text.into_bytes())),
    ]
}

proptest! {
    #[test]
    fn an_event_comes_back_as_it_went(
        position in 1..i64::MAX,
        version in 1..i32::MAX,
        data in prop::collection::vec(any::<u8>(), 0..100),
        traceparent in prop::option::of("00-[0-9a-f]{32}-[0-9a-f]{16}-01"),
    ) {
        let event = event(position, version, data, traceparent);
        prop_assert_eq!(read_kept(Topic::Orders, &message_of(&event), &Schema::Unchecked), Ok(event));
    }

    /// Whatever stands in one header of an event, or in a header besides: an event that a database takes, or a reason.
    #[test]
    fn any_header_is_read_or_refused(
        name in prop_oneof![
            prop::sample::select(&NAMES[..]).prop_map(|name| Some(name.to_owned())),
            ".{0,20}".prop_map(Some),
            Just(None),
        ],
        value in any_value(),
        replaces in any::<bool>(),
    ) {
        let mut message = message_of(&event(1, 1, Vec::new(), None));
        if replaces {
            message.headers.retain(|header| header.name != name);
        }
        message.headers.push(RawHeader { name, value: value.map(Bytes::from) });
        match read_kept(Topic::Orders, &message, &Schema::Unchecked) {
            Ok(event) => {
                prop_assert!(event.occurred_at >= Timestamp::UNIX_EPOCH);
                prop_assert!(event.traceparent.is_none_or(|trace| !trace.contains('\0')));
            }
            Err(problem) => prop_assert!(!problem.is_empty()),
        }
    }
}

#[test]
fn a_trace_context_that_is_none_is_left_out() {
    let mut message = message_of(&event(1, 1, Vec::new(), None));
    for value in [&b"\0"[..], b"\xff", &[b'a'; 129]] {
        let value = Some(Bytes::copy_from_slice(value));
        message.headers.push(RawHeader { name: Some("traceparent".to_owned()), value });
        assert_eq!(read_kept(Topic::Orders, &message, &Schema::Unchecked).unwrap().traceparent, None);
    }
}
