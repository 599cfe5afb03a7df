#![allow(clippy::unwrap_used)]
//! given / when / then, and properties over any sequence of commands and redeliveries.

use jiff::Timestamp;
use proptest::prelude::*;
use viscount_contracts::{Currency, Money, OrderId, PaymentId, ProductId, Quantity, RefundId, UserId};

use super::*;

fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

fn draft() -> Box<Draft> {
    let line = Line {
        product_id: ProductId::new(),
        sku: "TEA-1".into(),
        name: "Tea".into(),
        quantity: Quantity::new(2).unwrap(),
        unit_price: gbp(2_100),
        line_total: gbp(4_200),
    };
    Box::new(Draft {
        customer: UserId::new(),
        lines: [line].into(),
        total: gbp(4_200),
        means: PaymentMeans { method: "card".into(), token: "tok_visa".into() },
        address: None,
    })
}

fn payment() -> Payment {
    Payment { id: PaymentId::from(uuid::Uuid::nil()), amount: gbp(4_200) }
}

fn created() -> Event {
    Event::Created(draft())
}

fn cancel(reason: &str) -> Command {
    Command::Cancel { by: CancelledBy::Customer, reason: reason.into() }
}

fn record_payment() -> Command {
    Command::RecordPayment { payment: payment().id, amount: payment().amount }
}

struct Given(OrderId, Option<Order>);

fn given(events: impl IntoIterator<Item = Event>) -> Given {
    let id = OrderId::new();
    let events: Vec<_> = events.into_iter().collect();
    Given(id, replay(id, events.iter().map(|event| (event, Timestamp::UNIX_EPOCH))))
}

impl Given {
    fn when(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        decide(self.1.as_ref(), command, Policy::default())
    }

    fn money_back(&self, amount: Money, reason: &str) -> Event {
        Event::RefundRequested { refund: RefundId::from(self.0.uuid()), amount, reason: reason.into() }
    }
}

#[test]
fn stock_and_payment_complete_an_order() {
    assert_eq!(given([created()]).when(Command::ConfirmStock).unwrap(), [Event::Validated]);
    let paid = given([created(), Event::Validated]).when(record_payment()).unwrap();
    assert_eq!(paid, [Event::PaymentProcessed(payment()), Event::Completed]);
}

#[test]
fn a_payment_before_its_cause_is_kept_until_the_stock_is_confirmed() {
    let early = given([created()]).when(record_payment()).unwrap();
    assert_eq!(early, [Event::PaymentNoted(payment())]);
    let confirmed = given([created(), early[0].clone()]).when(Command::ConfirmStock).unwrap();
    assert_eq!(confirmed, [Event::Validated, Event::PaymentProcessed(payment()), Event::Completed]);
}

#[test]
fn cancelling_an_unpaid_order_returns_no_money() {
    let cancelled = given([created(), Event::Validated]).when(cancel("changed my mind")).unwrap();
    assert_eq!(cancelled, [Event::Cancelled { by: CancelledBy::Customer, reason: "changed my mind".into() }]);
}

#[test]
fn cancelling_a_paid_order_gives_the_money_back() {
    let order = given([created(), Event::Validated, Event::PaymentProcessed(payment())]);
    let cancelled = order.when(cancel("changed my mind")).unwrap();
    assert_eq!(cancelled[1..], [order.money_back(gbp(4_200), "the order was cancelled")]);
}

#[test]
fn a_payment_that_comes_after_the_cancellation_goes_back() {
    let order = given([
        created(),
        Event::Validated,
        Event::Cancelled { by: CancelledBy::Customer, reason: String::new() },
    ]);
    let noted = order.when(record_payment()).unwrap();
    let back = order.money_back(gbp(4_200), "the order had ended before it was paid");
    assert_eq!(noted, [Event::PaymentNoted(payment()), back]);
}

#[test]
fn a_completed_order_cannot_be_cancelled() {
    let order = given([created(), Event::Validated, Event::PaymentProcessed(payment()), Event::Completed]);
    let refused = order.when(cancel("too late")).unwrap_err();
    assert_eq!(refused, Rejection::WrongStatus { status: Status::Completed, wish: "cancelled" });
}

/// The answer may come between the look at the clock and the question.
#[test]
fn the_deadline_of_a_status_that_the_order_has_left_means_nothing() {
    let expire = |status| Command::Expire { status };
    let validated = given([created(), Event::Validated]);
    assert_eq!(validated.when(expire(Status::Created)).unwrap(), []);
    let expired = validated.when(expire(Status::Validated)).unwrap();
    assert!(matches!(expired[..], [Event::Cancelled { by: CancelledBy::Deadline, .. }]));
    let paid = given([created(), Event::Validated, Event::PaymentProcessed(payment())]);
    assert_eq!(paid.when(expire(Status::Validated)).unwrap(), []);
}

/// A compensation that fails must not leave the order idle with the buyer's money.
#[test]
fn money_that_did_not_go_back_by_itself_can_be_asked_for() {
    let refund = || Command::RequestRefund { refund: RefundId::new(), amount: None, reason: "again".into() };
    let mut story = vec![created(), Event::Validated, Event::PaymentProcessed(payment())];
    story.extend(given(story.clone()).when(cancel("changed my mind")).unwrap());
    let Some(Event::RefundRequested { refund: first, .. }) = story.last() else { panic!("no refund") };
    let failed = Event::RefundFailed { refund: *first, detail: "no".into() };
    let nothing_left = Rejection::WrongStatus { status: Status::Cancelled, wish: "refunded" };
    assert_eq!(given(story.clone()).when(refund()), Err(nothing_left));
    story.push(failed);
    let again = given(story).when(refund()).unwrap();
    assert!(matches!(again[..], [Event::RefundRequested { amount, .. }] if amount == gbp(4_200)));
}

#[test]
fn two_equal_partial_refunds_are_both_done_but_one_id_only_once() {
    let first = RefundId::new();
    let refund = |id| Command::RequestRefund { refund: id, amount: Some(gbp(1_000)), reason: "late".into() };
    let requested = Event::RefundRequested { refund: first, amount: gbp(1_000), reason: "late".into() };
    let order =
        given([created(), Event::Validated, Event::PaymentProcessed(payment()), Event::Completed, requested]);
    assert_eq!(order.when(refund(first)).unwrap(), []);
    assert_eq!(order.when(refund(RefundId::new())).unwrap().len(), 1);
    let too_much =
        Command::RequestRefund { refund: RefundId::new(), amount: Some(gbp(3_201)), reason: String::new() };
    assert_eq!(order.when(too_much), Err(Rejection::RefundTooLarge { left: gbp(3_200) }));
}

#[test]
fn two_lines_with_one_product_are_added_up() {
    let product = ProductId::new();
    let offer = Offer { sku: "T".into(), name: "Tea".into(), price: gbp(100), on_sale: true };
    let two = Quantity::new(2).unwrap();
    let (lines, total) = price(&[(product, two), (product, two)], |_| Some(&offer)).unwrap();
    assert_eq!((lines.len(), lines[0].quantity.get(), total), (1, 4, gbp(400)));
}

#[test]
fn what_cannot_be_priced_says_which_line() {
    let offer = Offer { sku: "T".into(), name: "Tea".into(), price: gbp(i64::MAX), on_sale: true };
    let (known, unknown) = (ProductId::new(), ProductId::new());
    let one = Quantity::new(1).unwrap();
    let book = |id| (id == known).then_some(&offer);
    assert_eq!(price(&[], book), Err(PriceError::LineCount));
    assert_eq!(price(&[(known, one); MAX_LINES + 1], book), Err(PriceError::LineCount));
    assert_eq!(
        price(&[(known, one), (unknown, one)], book),
        Err(PriceError::UnknownProduct { lines: vec![1] })
    );
    assert_eq!(price(&[(known, Quantity::new(2).unwrap())], book), Err(PriceError::TooLarge));
}

fn commands() -> impl Strategy<Value = Command> {
    let refund_ids = prop::sample::select(
        (0..4u128).map(|n| RefundId::from(uuid::Uuid::from_u128(n))).collect::<Vec<_>>(),
    );
    let id = refund_ids.clone();
    prop_oneof![
        3 => Just(Command::ConfirmStock),
        1 => Just(Command::RejectStock { short: vec![] }),
        3 => Just(record_payment()),
        1 => Just(Command::DeclinePayment { code: "card_declined".into(), detail: String::new() }),
        1 => Just(cancel("")),
        1 => prop::sample::select(vec![Status::Created, Status::Validated]).prop_map(|status| Command::Expire { status }),
        3 => (id, prop::option::of(-10i64..6_000)).prop_map(|(refund, amount)| Command::RequestRefund {
            refund, amount: amount.map(gbp), reason: String::new(),
        }),
        1 => refund_ids.clone().prop_map(|refund| Command::FailRefund { refund, detail: String::new() }),
        3 => refund_ids.prop_map(|refund| Command::RecordRefund { refund, amount: gbp(0) }),
        1 => Just(Command::Complete),
    ]
}

proptest! {
    /// Any sequence of commands and redeliveries: money is never returned beyond what was taken, a final order stays
    /// final, versions are contiguous, and nothing that was handled has an effect twice.
    #[test]
    fn any_sequence_keeps_the_invariants(commands in prop::collection::vec(commands(), 0..40), external: bool) {
        let id = OrderId::new();
        let fulfilment = if external { Fulfilment::External } else { Fulfilment::Immediate };
        let policy = Policy { fulfilment };
        let mut order = replay(id, [(&created(), Timestamp::UNIX_EPOCH)]);
        let mut history = vec![Status::Created];
        for command in commands {
            // A refund is recorded with the amount that was asked for.
            let command = match command {
                Command::RecordRefund { refund, .. } => {
                    let amount = order.as_ref().and_then(|o| o.refund(refund)).map_or(gbp(0), |r| r.amount);
                    Command::RecordRefund { refund, amount }
                }
                other => other,
            };
            let before = order.clone().unwrap();
            if let Ok(events) = decide(Some(&before), command.clone(), policy) {
                for event in &events {
                    order = evolve(id, order, event, Timestamp::UNIX_EPOCH);
                    history.push(order.as_ref().unwrap().status);
                }
                let after = order.as_ref().unwrap();
                // Redelivered at once: nothing more happens.
                if !matches!(command, Command::RequestRefund { .. } | Command::FailRefund { .. }) {
                    prop_assert_eq!(decide(Some(after), command, policy).unwrap_or_default(), vec![]);
                }
            }
            let after = order.as_ref().unwrap();
            prop_assert_eq!(after.version as usize, history.len());
            let taken = after.payment.map_or(0, |payment| payment.amount.amount());
            let going: i64 = after.refunds.iter()
                .filter(|refund| refund.state != RefundState::Failed).map(|refund| refund.amount.amount()).sum();
            prop_assert!(going <= taken, "{going} of {taken} returned");
            prop_assert!(after.refundable().amount() >= 0);
            if before.status.is_final() {
                prop_assert!(after.status.is_final(), "{} became {}", before.status, after.status);
            }
            if matches!(before.status, Status::Rejected | Status::Cancelled) {
                prop_assert_eq!(after.status, before.status);
            }
            if matches!(after.status, Status::Completed) {
                prop_assert!(history.contains(&Status::Validated) && after.payment.is_some());
            }
        }
    }
}
