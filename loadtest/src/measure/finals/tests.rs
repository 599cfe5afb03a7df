//! What becomes of orders is told as it should be.

#![allow(clippy::unwrap_used)]

use uuid::Uuid;

use super::*;

const WITHIN: Duration = Duration::from_secs(30);

fn id(number: u128) -> OrderId {
    Uuid::from_u128(number).into()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000 + millis).unwrap()
}

fn order(number: u128, status: &str, created: i64, updated: i64) -> Order {
    Order { id: id(number), status: status.to_owned(), created_at: at(created), updated_at: at(updated) }
}

#[test]
fn lost_late_and_unfinished_orders_are_told() {
    let wanted = (1..=5).map(|number| (id(number), number != 5)).collect();
    let orders = vec![
        order(1, "completed", 0, 100),
        order(2, "paid", 0, 5),
        order(3, "rejected", 0, 31_000),
        order(5, "completed", 900, 1_100),
        order(9, "completed", 50, 51),
        order(10, "completed", -50, 51),
    ];
    let mut finals = Finals::default();
    finals.judge(wanted, orders, &HashMap::new(), Begin { at: at(0), within: WITHIN });
    assert_eq!((finals.lost, finals.not_final, finals.late, finals.unknown), (1, 1, 1, 1));
    assert_eq!(finals.named, [id(2), id(4)]);
    assert_eq!(finals.orders_completed(), 2);
    assert_eq!(finals.created_to_completed.len(), 1, "the warm-up's order is left out, and the rejected one");
    assert_eq!(finals.created_to_completed.max() / 1_000, 100, "the rejected one took 31 s");
    assert_eq!(finals.completed, [1, 1], "but what was completed meanwhile counts");
}

#[test]
fn returned_money_does_not_make_an_order_slow_and_not_uncompleted() {
    let judged = |completed| {
        let mut finals = Finals::default();
        let wanted = HashMap::from([(id(1), true)]);
        let orders = vec![order(1, "refunded", 100, 90_000)];
        finals.judge(wanted, orders, &completed, Begin { at: at(0), within: WITHIN });
        assert_eq!((finals.orders_completed(), finals.late), (1, 0));
        finals
    };
    let finals = judged(HashMap::from([(id(1), at(1_600))]));
    assert_eq!((finals.untimed, finals.completed), (0, vec![0, 1]));
    assert_eq!((finals.created_to_completed.len(), finals.created_to_completed.max() / 1_000), (1, 1_500));
    let finals = judged(HashMap::new());
    assert_eq!((finals.untimed, finals.completed.len(), finals.created_to_completed.len()), (1, 0, 0));
}

#[test]
fn an_order_that_two_requests_made_is_told() {
    let recorder = Recorder::new(Duration::ZERO);
    recorder.begin();
    for _ in 0..2 {
        recorder.accepted(id(1), 3, Instant::now());
    }
    let mut finals = Finals::default();
    let wanted = by_customer(&recorder, &mut finals);
    assert_eq!((finals.repeated, wanted.len(), wanted[0].0), (1, 1, 3));
}
