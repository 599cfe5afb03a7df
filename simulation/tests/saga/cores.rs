//! From the small world to the real cores and back: every decision is made by the function that the service makes it with.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use uuid::Uuid;
use viscount_contracts::{
    Currency, Money as Amount, OrderId, PaymentId, ProductId, Quantity, RefundId, UserId,
};
use viscount_inventory::domain::{Balance, Level, Location, Sign, Stock};
use viscount_orders::domain::{
    CancelledBy, Command, Draft, Event, Line, Order, Payment as Paid, PaymentMeans, Policy, decide, evolve,
};
use viscount_payments::domain::{self as payments, Answer, CallId, Intent, Payment, Terms};

use super::state::{Cause, Fact, Money, State, Told};

pub const PRICE: Amount = Amount::new(100, Currency::GBP);
const AT: Timestamp = Timestamp::UNIX_EPOCH;

pub fn product() -> ProductId {
    ProductId::from(Uuid::from_u128(1))
}

fn id(order: usize) -> OrderId {
    OrderId::from(Uuid::from_u128(10 + order as u128))
}

fn refund_id(order: usize) -> RefundId {
    RefundId::from(id(order).uuid())
}

static DRAFT: LazyLock<Draft> = LazyLock::new(|| {
    let line = Line {
        product_id: product(),
        sku: String::new(),
        name: String::new(),
        quantity: Quantity::new(1).unwrap(),
        unit_price: PRICE,
        line_total: PRICE,
    };
    Draft {
        customer: UserId::from(Uuid::from_u128(5)),
        lines: Arc::from([line]),
        total: PRICE,
        means: PaymentMeans { method: String::new(), token: String::new() },
        address: None,
    }
});

fn event(order: usize, fact: Fact) -> Event {
    let paid = Paid { id: PaymentId::from(id(order).uuid()), amount: PRICE };
    let (refund, amount) = (refund_id(order), PRICE);
    let cancelled = |by| Event::Cancelled { by, reason: String::new() };
    let rejected = |code| Event::Rejected { code, detail: String::new(), short: Vec::new() };
    match fact {
        Fact::Created => Event::Created(Box::new(DRAFT.clone())),
        Fact::Validated => Event::Validated,
        Fact::OutOfStock => rejected("insufficient_stock"),
        Fact::Declined => rejected("payment_declined"),
        Fact::Noted => Event::PaymentNoted(paid),
        Fact::Paid => Event::PaymentProcessed(paid),
        Fact::Completed => Event::Completed,
        Fact::CancelledByBuyer => cancelled(CancelledBy::Customer),
        Fact::CancelledByDeadline => cancelled(CancelledBy::Deadline),
        Fact::RefundRequested => Event::RefundRequested { refund, amount, reason: String::new() },
        Fact::Refunded => Event::Refunded { refund, amount },
        Fact::RefundFailed => Event::RefundFailed { refund, detail: String::new() },
    }
}

fn fact(event: &Event) -> Fact {
    match event {
        Event::Created(_) => Fact::Created,
        Event::Validated => Fact::Validated,
        Event::Rejected { code: "payment_declined", .. } => Fact::Declined,
        Event::Rejected { .. } => Fact::OutOfStock,
        Event::PaymentNoted(_) => Fact::Noted,
        Event::PaymentProcessed(_) => Fact::Paid,
        Event::Completed => Fact::Completed,
        Event::Cancelled { by: CancelledBy::Deadline, .. } => Fact::CancelledByDeadline,
        Event::Cancelled { .. } => Fact::CancelledByBuyer,
        Event::RefundRequested { .. } => Fact::RefundRequested,
        Event::Refunded { .. } => Fact::Refunded,
        Event::RefundFailed { .. } => Fact::RefundFailed,
    }
}

/// An order as the first `known` of its events make it.
pub fn order(order: usize, facts: &[Fact], known: u8) -> Order {
    let known = &facts[..usize::from(known)];
    let events = known.iter().map(|fact| event(order, *fact));
    let made = events.fold(None, |before, event| evolve(id(order), before, &event, AT));
    made.expect("an order begins with its creation")
}

/// What follows for an order, on as many events as its decider knows. `None` when it refuses.
pub fn order_decides(state: &State, at: usize, known: u8, cause: Cause) -> Option<Vec<Fact>> {
    let before = order(at, &state.orders[at], known);
    let command = match cause {
        Cause::Inventory(number) => match state.told[at][usize::from(number)] {
            Told::Reserved => Command::ConfirmStock,
            Told::Rejected => Command::RejectStock { short: Vec::new() },
            Told::Released | Told::Deducted => return Some(Vec::new()),
        },
        Cause::Payments(number) => match state.money[at][usize::from(number)] {
            Money::Processed => {
                Command::RecordPayment { payment: PaymentId::from(id(at).uuid()), amount: PRICE }
            }
            Money::Failed => Command::DeclinePayment { code: String::new(), detail: String::new() },
            Money::Refunded => Command::RecordRefund { refund: refund_id(at), amount: PRICE },
            Money::RefundFailed => Command::FailRefund { refund: refund_id(at), detail: String::new() },
            Money::Voided | Money::RefundPending => return Some(Vec::new()),
        },
        Cause::Cancel => Command::Cancel { by: CancelledBy::Customer, reason: String::new() },
        Cause::Expire(events) => Command::Expire { status: order(at, &state.orders[at], events).status },
    };
    let decided = decide(Some(&before), command, Policy::default()).ok()?;
    Some(decided.iter().map(fact).collect())
}

fn payment_event(order: usize, fact: Money) -> payments::Event {
    let (id, amount) = (refund_id(order), PRICE);
    let (code, detail, reason) = (String::new(), String::new(), String::new());
    match fact {
        Money::Processed => payments::Event::Processed { customer: None, amount, reference: String::new() },
        Money::Failed => payments::Event::Failed { customer: None, amount, code, detail },
        Money::Voided => payments::Event::Voided { reason },
        Money::RefundPending => payments::Event::RefundPending { id, amount },
        Money::Refunded => payments::Event::Refunded { id, amount, reference: String::new() },
        Money::RefundFailed => payments::Event::RefundFailed { id, amount, code, detail },
    }
}

/// A payment as its events make it.
pub fn payment(order: usize, facts: &[Money]) -> Payment {
    let mut payment = Payment::of(id(order));
    for fact in facts {
        payment.evolve(&payment_event(order, *fact), AT);
    }
    payment
}

/// What an event of an order wants of its payment.
pub fn intent(order: usize, fact: Fact) -> Option<Intent> {
    let terms = || Terms { customer: DRAFT.customer, amount: PRICE, token: String::new() };
    match fact {
        Fact::Validated => Some(Intent::Charge(terms())),
        Fact::CancelledByBuyer | Fact::CancelledByDeadline => Some(Intent::Cancel { reason: String::new() }),
        Fact::RefundRequested => Some(Intent::Refund { id: refund_id(order), amount: PRICE }),
        _ => None,
    }
}

/// What follows for a payment.
pub fn payment_decides(order: usize, facts: &[Money], intent: Intent, answer: Option<Answer>) -> Vec<Money> {
    let decided = payment(order, facts).decide(intent.with(answer));
    let fact = |event: &payments::Event| match event {
        payments::Event::Processed { .. } => Money::Processed,
        payments::Event::Failed { .. } => Money::Failed,
        payments::Event::Voided { .. } => Money::Voided,
        payments::Event::RefundPending { .. } => Money::RefundPending,
        payments::Event::Refunded { .. } => Money::Refunded,
        payments::Event::RefundFailed { .. } => Money::RefundFailed,
        payments::Event::Pending { .. } | payments::Event::CancelNoted { .. } => {
            panic!("in this world every answer of the provider is heard")
        }
    };
    decided.iter().map(fact).collect()
}

/// True when nothing is open.
pub fn payment_rests(order: usize, facts: &[Money]) -> bool {
    payment(order, facts).open_calls() == Vec::<CallId>::new()
}

/// The product as inventory's database has it, in a replica's mind.
pub fn shelf(state: &State) -> Stock {
    Stock::of(&balance(state))
}

/// The product as inventory's database has it.
pub fn balance(state: &State) -> Balance {
    let (on_hand, reserved) = state.stock;
    let level = Level { location: Location::main(), on_hand, reserved, version: 1 };
    Balance { product: product(), levels: vec![level], stream: 0, sign: Sign::default() }
}
