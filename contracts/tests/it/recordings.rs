//! Whatever was published by any version is still understood.

use prost_reflect::prost::Message as _;
use serde_json::Value;
use viscount_contracts::{Event, Topic, events};

use crate::{corpus, full};

#[test]
fn every_recorded_event_says_what_it_said_when_it_was_recorded() {
    if corpus::is_recording() {
        corpus::complete();
    }
    for event in corpus::read() {
        let today = events::to_json(event.topic, &event.kind, &event.data)
            .unwrap_or_else(|| panic!("{}: {} cannot be decoded any more", event.at, event.kind));
        assert!(!event.decoded.is_null(), "{}: not complete, record it", event.at);
        kept(&event.decoded, &today, &format!("{} {}", event.at, event.kind));
    }
}

/// Everything recorded is there and the same; what is new may stand beside it.
fn kept(recorded: &Value, today: &Value, at: &str) {
    match (recorded, today) {
        (Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                let now = now.get(name).unwrap_or_else(|| panic!("{at}: {name} is lost"));
                kept(value, now, &format!("{at}.{name}"));
            }
        }
        (Value::Array(before), Value::Array(now)) => {
            assert_eq!(before.len(), now.len(), "{at}");
            before.iter().zip(now).for_each(|(before, now)| kept(before, now, at));
        }
        _ => assert_eq!(recorded, today, "{at}"),
    }
}

macro_rules! again {
    ($($service:ident { $($event:ident),* $(,)? })*) => {
        /// The same event, read into the generated type and written again; none for a kind that is not listed.
        fn again(topic: Topic, kind: &str, data: &[u8]) -> Option<Vec<u8>> {
            $($({
                type E = events::$service::v1::$event;
                if topic == E::TOPIC && kind == E::KIND {
                    return Some(E::decode(data).unwrap().encode_to_vec());
                }
            })*)*
            None
        }
    };
}

again! {
    catalog { ProductCreated, ProductUpdated, PriceChanged, ProductDeleted, ProductOutOfStock }
    inventory {
        InventoryReserved, InventoryRejected, InventoryReleased, InventoryDeducted, InventoryAdjusted,
        InventoryUpdated, LowStockAlert,
    }
    orders {
        OrderCreated, OrderValidated, OrderRejected, OrderPaymentNoted, OrderPaymentProcessed, OrderCompleted,
        OrderCancelled, OrderRefundRequested, OrderRefunded, OrderRefundFailed,
    }
    payments {
        PaymentProcessed, PaymentFailed, PaymentRefunded, PaymentRefundFailed, PaymentPending, PaymentCancelNoted,
        PaymentVoided, PaymentRefundPending,
    }
    identity { UserRegistered }
    coordination { ServiceRegistered, ServiceDeregistered, ServiceHealthChanged, ConfigurationUpdated }
}

#[test]
fn every_recorded_event_is_the_same_bytes_again() {
    for event in corpus::read() {
        let again = again(event.topic, &event.kind, &event.data);
        let again =
            again.unwrap_or_else(|| panic!("{}: {} is not in this test's list", event.at, event.kind));
        assert_eq!(again, event.data, "{} {}", event.at, event.kind);
    }
}

#[test]
fn what_a_newer_version_adds_is_skipped() {
    // Fields 2000, 2001 and 2002: a number, a text, and eight bytes.
    let newer =
        [&[0x80, 0x7d, 7][..], &[0x8a, 0x7d, 3], b"new", &[0x91, 0x7d, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
    for event in corpus::read() {
        let data = [event.data.clone(), newer.clone()].concat();
        let told = events::to_json(event.topic, &event.kind, &data);
        assert_eq!(told, events::to_json(event.topic, &event.kind, &event.data), "{}", event.at);
        let again = again(event.topic, &event.kind, &data).unwrap();
        assert_eq!(again, event.data, "{} {}", event.at, event.kind);
    }
}

#[test]
fn every_field_of_every_kind_is_recorded() {
    let mut missing = full::missing(&corpus::read());
    if corpus::is_recording() {
        full::record(&missing);
        missing = full::missing(&corpus::read());
    }
    assert!(missing.is_empty(), "never recorded, see contracts/testdata/README.md: {missing:#?}");
}

#[test]
fn the_schemas_of_this_version_are_kept() {
    let kept = corpus::of_this_version().join("proto");
    assert!(kept.is_dir(), "{} is missing: see contracts/testdata/README.md", kept.display());
}
