//! A small shop's story, as honest services would have written it down: events, tables, inboxes, places.
//!
//! Tests take the good story, add a chapter that should not be, or break a row afterwards.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use viscount_chassis::store::NewEvent;
use viscount_contracts::{
    Currency, Event, Money, Topic,
    events::{
        catalog::v1::ProductCreated,
        common::v1 as common,
        inventory::v1::{
            InventoryAdjusted, InventoryDeducted, InventoryRejected, InventoryReleased, InventoryReserved,
            InventoryUpdated, Line,
        },
        orders::v1::{
            OrderCancelled, OrderCompleted, OrderCreated, OrderLine, OrderPaymentNoted,
            OrderPaymentProcessed, OrderRefundRequested, OrderRefunded, OrderRejected, OrderValidated,
        },
        payments::v1::{
            PaymentFailed, PaymentPending, PaymentProcessed, PaymentRefundPending, PaymentRefunded,
            PaymentVoided,
        },
    },
};

pub const MUG: Uuid = Uuid::from_u128(0xA1);
pub const POT: Uuid = Uuid::from_u128(0xA2);

pub const COMPLETED: Uuid = Uuid::from_u128(0xC1);
/// Its payment was heard of before its stock.
pub const EARLY: Uuid = Uuid::from_u128(0xC2);
pub const SHORT: Uuid = Uuid::from_u128(0xC3);
pub const DECLINED: Uuid = Uuid::from_u128(0xC4);
/// Cancelled while it was being paid: the money went back.
pub const CANCELLED: Uuid = Uuid::from_u128(0xC5);
pub const PARTLY: Uuid = Uuid::from_u128(0xC6);
/// Cancelled before anything else.
pub const ABANDONED: Uuid = Uuid::from_u128(0xC7);
/// What a test adds.
pub const EXTRA: Uuid = Uuid::from_u128(0xCE);
/// A reservation of no order.
pub const ASIDE: Uuid = Uuid::from_u128(0xCF);

pub const REFUND: Uuid = Uuid::from_u128(0xD1);

#[derive(Clone, Default)]
pub struct Order {
    pub status: &'static str,
    pub lines: Vec<(Uuid, u32)>,
    pub total: i64,
    pub refunded: i64,
    pub due: bool,
}

#[derive(Clone, Default)]
pub struct Payment {
    pub status: &'static str,
    pub amount: Option<i64>,
    pub captured: i64,
    pub refunded: i64,
    pub charge: Option<i64>,
}

#[derive(Clone)]
pub struct Charge {
    pub sequence: i64,
    pub key: String,
    pub order: Option<Uuid>,
    pub amount: i64,
    pub returned: i64,
    pub status: &'static str,
}

#[derive(Clone)]
pub struct Movement {
    pub product: Uuid,
    pub location: &'static str,
    pub kind: &'static str,
    pub reservation: Option<Uuid>,
    pub on_hand: i32,
    pub reserved: i32,
    pub version: i64,
}

/// Transaction, account, order, amount.
pub type Posting = (Uuid, &'static str, Uuid, i64);

/// Of an order; state; lines.
pub type Reservation = (bool, &'static str, Vec<(Uuid, u32)>);

/// The story so far.
#[derive(Clone, Default)]
pub struct Tale {
    pub logs: HashMap<Topic, Vec<NewEvent>>,
    pub inboxes: HashMap<Topic, Vec<Uuid>>,
    pub orders: BTreeMap<Uuid, Order>,
    pub payments: BTreeMap<Uuid, Payment>,
    /// refund, order, amount, state
    pub refunds: Vec<(Uuid, Uuid, i64, &'static str)>,
    pub ledger: Vec<Posting>,
    pub charges: Vec<Charge>,
    pub stock: BTreeMap<(Uuid, &'static str), (i32, i32, i64)>,
    pub movements: Vec<Movement>,
    pub reservations: BTreeMap<Uuid, Reservation>,
    sequence: i64,
}

pub fn gbp(amount: i64) -> Option<common::Money> {
    Some(Money::new(amount, Currency::GBP).into())
}

pub fn price(product: Uuid) -> i64 {
    if product == MUG { 500 } else { 1_200 }
}

/// Everything is here, unless a test says otherwise.
pub const MAIN: &str = "main";

impl Tale {
    /// The story of a shop where nothing is wrong.
    pub fn good() -> Self {
        let mut tale = Self::default();
        for product in [MUG, POT] {
            tale.list(product);
            tale.receive(product, MAIN, 20);
            tale.receive(product, "north", 5);
        }
        tale.completed(COMPLETED, &[(MUG, 2), (POT, 1)]);
        tale.create(EARLY, &[(MUG, 1)]);
        tale.reserve(EARLY);
        tale.charge(EARLY);
        tale.noted(EARLY);
        tale.validate(EARLY);
        tale.paid(EARLY);
        tale.complete(EARLY);
        tale.deduct(EARLY);
        tale.create(SHORT, &[(POT, 99)]);
        tale.refuse(SHORT);
        tale.rejected(SHORT, "insufficient_stock");
        tale.create(DECLINED, &[(MUG, 1)]);
        tale.reserve(DECLINED);
        tale.validate(DECLINED);
        tale.decline(DECLINED);
        tale.rejected(DECLINED, "payment_declined");
        tale.release(DECLINED);
        tale.create(CANCELLED, &[(POT, 1)]);
        tale.reserve(CANCELLED);
        tale.validate(CANCELLED);
        tale.cancel(CANCELLED);
        tale.release(CANCELLED);
        tale.pending(CANCELLED);
        tale.charge(CANCELLED);
        tale.noted(CANCELLED);
        tale.refund(CANCELLED, CANCELLED, 1_200);
        tale.completed(PARTLY, &[(MUG, 2)]);
        tale.refund(PARTLY, REFUND, 300);
        tale.abandoned(ABANDONED);
        tale.put_aside(ASIDE, 1);
        tale
    }

    pub fn completed(&mut self, id: Uuid, lines: &[(Uuid, u32)]) {
        self.create(id, lines);
        self.reserve(id);
        self.validate(id);
        self.charge(id);
        self.paid(id);
        self.complete(id);
        self.deduct(id);
    }

    pub fn abandoned(&mut self, id: Uuid) {
        self.create(id, &[(MUG, 1)]);
        self.reserve(id);
        self.cancel(id);
        self.release(id);
        self.void(id);
    }

    // What is written down.

    /// An hour ago, and a second later for each event.
    pub fn event<E: Event>(&mut self, stream: Uuid, event: &E) -> Uuid {
        let told: usize = self.logs.values().map(Vec::len).sum();
        let at = Timestamp::now() - SignedDuration::from_hours(1) + SignedDuration::from_secs(told as i64);
        let version = self.version(E::TOPIC, stream) + 1;
        let event = NewEvent::new(stream, version, event, at);
        let id = event.id.uuid();
        self.logs.entry(E::TOPIC).or_default().push(event);
        id
    }

    pub fn version(&self, topic: Topic, stream: Uuid) -> i32 {
        let events = self.logs.get(&topic).into_iter().flatten();
        events.filter(|event| event.stream == stream).count().try_into().unwrap()
    }

    /// The id of a stream's newest event.
    pub fn newest(&self, topic: Topic, stream: Uuid) -> Uuid {
        self.logs[&topic].iter().rev().find(|event| event.stream == stream).unwrap().id.uuid()
    }

    /// How many events a log has.
    pub fn length(&self, topic: Topic) -> usize {
        self.logs[&topic].len()
    }

    fn heard(&mut self, service: Topic, event: Uuid) {
        let inbox = self.inboxes.entry(service).or_default();
        if !inbox.contains(&event) {
            inbox.push(event);
        }
    }

    fn hears_newest(&mut self, service: Topic, topic: Topic, stream: Uuid) {
        let event = self.newest(topic, stream);
        self.heard(service, event);
    }

    fn order(&mut self, id: Uuid) -> &mut Order {
        self.orders.get_mut(&id).unwrap()
    }

    // Catalogue and stock.

    fn list(&mut self, product: Uuid) {
        let created = ProductCreated {
            product_id: product.to_string(),
            sku: format!("sku-{product}"),
            name: "Thing".to_owned(),
            price: gbp(price(product)),
            ..ProductCreated::default()
        };
        let event = self.event(product, &created);
        self.heard(Topic::Orders, event);
    }

    fn receive(&mut self, product: Uuid, location: &'static str, pieces: i32) {
        let product_id = product.to_string();
        let first = self.version(Topic::Inventory, product) == 0;
        let reason = "receipt".to_owned();
        self.event(
            product,
            &InventoryAdjusted {
                product_id: product_id.clone(),
                location: location.to_owned(),
                delta: pieces,
                reason,
            },
        );
        self.moved(product, location, "receipt", None, pieces, 0);
        if first {
            let pieces = u32::try_from(pieces).unwrap();
            let updated = InventoryUpdated { product_id, on_hand: pieces, reserved: 0, available: pieces };
            let event = self.event(product, &updated);
            self.heard(Topic::Catalog, event);
        }
    }

    pub fn moved(
        &mut self,
        product: Uuid,
        location: &'static str,
        kind: &'static str,
        reservation: Option<Uuid>,
        on_hand: i32,
        reserved: i32,
    ) {
        let stock = self.stock.entry((product, location)).or_default();
        *stock = (stock.0 + on_hand, stock.1 + reserved, stock.2 + 1);
        let version = stock.2;
        self.movements.push(Movement { product, location, kind, reservation, on_hand, reserved, version });
    }

    fn lines(&self, id: Uuid) -> Vec<Line> {
        let (_, _, lines) = &self.reservations[&id];
        let line =
            |(product, quantity): &(Uuid, u32)| Line { product_id: product.to_string(), quantity: *quantity };
        lines.iter().map(line).collect()
    }

    fn hold(&mut self, id: Uuid, of_order: bool, lines: Vec<(Uuid, u32)>) {
        for (product, quantity) in &lines {
            self.moved(*product, MAIN, "reserve", Some(id), 0, i32::try_from(*quantity).unwrap());
        }
        self.reservations.insert(id, (of_order, "held", lines));
        let order_id = if of_order { id.to_string() } else { String::new() };
        let lines = self.lines(id);
        self.event(id, &InventoryReserved { reservation_id: id.to_string(), order_id, lines });
    }

    pub fn reserve(&mut self, id: Uuid) {
        self.hears_newest(Topic::Inventory, Topic::Orders, id);
        self.hold(id, true, self.orders[&id].lines.clone());
    }

    /// Holds something other than what was ordered.
    pub fn reserve_instead(&mut self, id: Uuid, lines: &[(Uuid, u32)]) {
        self.hears_newest(Topic::Inventory, Topic::Orders, id);
        self.hold(id, true, lines.to_vec());
    }

    fn put_aside(&mut self, id: Uuid, pieces: u32) {
        self.hold(id, false, vec![(MUG, pieces)]);
    }

    fn refuse(&mut self, id: Uuid) {
        self.hears_newest(Topic::Inventory, Topic::Orders, id);
        self.reservations.insert(id, (true, "rejected", Vec::new()));
        let id_text = id.to_string();
        let rejected =
            InventoryRejected { reservation_id: id_text.clone(), order_id: id_text, short_lines: Vec::new() };
        self.event(id, &rejected);
    }

    pub fn release(&mut self, id: Uuid) {
        self.hears_newest(Topic::Inventory, Topic::Orders, id);
        let (reservation_id, lines, reason) = (id.to_string(), self.lines(id), "cancelled".to_owned());
        let order_id = reservation_id.clone();
        self.event(id, &InventoryReleased { reservation_id, order_id, lines, reason });
        self.end(id, "released", "release", 0, -1);
    }

    pub fn deduct(&mut self, id: Uuid) {
        self.hears_newest(Topic::Inventory, Topic::Orders, id);
        let (reservation_id, lines) = (id.to_string(), self.lines(id));
        let order_id = reservation_id.clone();
        self.event(id, &InventoryDeducted { reservation_id, order_id, lines });
        self.end(id, "sold", "sell", -1, -1);
    }

    fn end(&mut self, id: Uuid, state: &'static str, kind: &'static str, on_hand: i32, reserved: i32) {
        let reservation = self.reservations.get_mut(&id).unwrap();
        reservation.1 = state;
        for (product, quantity) in reservation.2.clone() {
            let pieces = i32::try_from(quantity).unwrap();
            self.moved(product, MAIN, kind, Some(id), on_hand * pieces, reserved * pieces);
        }
    }

    // Orders.

    pub fn create(&mut self, id: Uuid, lines: &[(Uuid, u32)]) {
        let total = lines.iter().map(|(product, quantity)| price(*product) * i64::from(*quantity)).sum();
        let order = Order { status: "created", lines: lines.to_vec(), total, refunded: 0, due: true };
        self.orders.insert(id, order);
        let lines = lines.iter().map(|(product, quantity)| OrderLine {
            product_id: product.to_string(),
            quantity: *quantity,
            unit_price: gbp(price(*product)),
            ..OrderLine::default()
        });
        let (order_id, lines) = (id.to_string(), lines.collect());
        self.event(id, &OrderCreated { order_id, lines, total: gbp(total), ..OrderCreated::default() });
    }

    pub fn validate(&mut self, id: Uuid) {
        self.hears_newest(Topic::Orders, Topic::Inventory, id);
        self.order(id).status = "validated";
        let total = gbp(self.orders[&id].total);
        self.event(id, &OrderValidated { order_id: id.to_string(), total, ..OrderValidated::default() });
    }

    pub fn noted(&mut self, id: Uuid) {
        self.hears_newest(Topic::Orders, Topic::Payments, id);
        let (order_id, amount) = (id.to_string(), gbp(self.payments[&id].captured));
        self.event(id, &OrderPaymentNoted { payment_id: order_id.clone(), order_id, amount });
    }

    pub fn paid(&mut self, id: Uuid) {
        self.hears_newest(Topic::Orders, Topic::Payments, id);
        self.order(id).status = "paid";
        self.order(id).due = false;
        let (order_id, amount) = (id.to_string(), gbp(self.payments[&id].captured));
        self.event(id, &OrderPaymentProcessed { payment_id: order_id.clone(), order_id, amount });
    }

    pub fn complete(&mut self, id: Uuid) {
        self.order(id).status = "completed";
        let total = gbp(self.orders[&id].total);
        self.event(id, &OrderCompleted { order_id: id.to_string(), total, ..OrderCompleted::default() });
    }

    pub fn rejected(&mut self, id: Uuid, code: &str) {
        let order = self.order(id);
        (order.status, order.due) = ("rejected", false);
        let (order_id, reason_code) = (id.to_string(), code.to_owned());
        self.event(id, &OrderRejected { order_id, reason_code, ..OrderRejected::default() });
    }

    pub fn cancel(&mut self, id: Uuid) {
        let order = self.order(id);
        (order.status, order.due) = ("cancelled", false);
        self.event(id, &OrderCancelled { order_id: id.to_string(), ..OrderCancelled::default() });
    }

    pub fn ask_refund(&mut self, id: Uuid, refund: Uuid, amount: i64) {
        let (order_id, refund_id, amount) = (id.to_string(), refund.to_string(), gbp(amount));
        self.event(
            id,
            &OrderRefundRequested { order_id, refund_id, amount, ..OrderRefundRequested::default() },
        );
    }

    pub fn refunded(&mut self, id: Uuid, refund: Uuid, amount: i64) {
        self.hears_newest(Topic::Orders, Topic::Payments, id);
        let order = self.order(id);
        order.refunded += amount;
        if order.status != "cancelled" && order.status != "rejected" {
            order.status = if order.refunded == order.total { "refunded" } else { "partially_refunded" };
        }
        let (order_id, refund_id, so_far) = (id.to_string(), refund.to_string(), gbp(order.refunded));
        self.event(id, &OrderRefunded { order_id, refund_id, amount: gbp(amount), refunded: so_far });
    }

    pub fn refund(&mut self, id: Uuid, refund: Uuid, amount: i64) {
        self.ask_refund(id, refund, amount);
        self.give_back(id, refund, amount);
        self.refunded(id, refund, amount);
    }

    // Payments and the provider.

    pub fn pending(&mut self, id: Uuid) {
        let (order_id, amount) = (id.to_string(), self.orders[&id].total);
        let customer_id = order_id.clone();
        self.payments.insert(id, Payment { status: "pending", amount: Some(amount), ..Payment::default() });
        let (payment_id, amount) = (order_id.clone(), gbp(amount));
        self.event(
            id,
            &PaymentPending { payment_id, order_id, customer_id, amount, ..PaymentPending::default() },
        );
    }

    /// The provider takes the money, and payments write it down.
    pub fn charge(&mut self, id: Uuid) {
        let amount = self.orders[&id].total;
        let sequence = self.provider_takes(&id.to_string(), Some(id), amount);
        self.hears_newest(Topic::Payments, Topic::Orders, id);
        self.captured(id, amount, sequence);
    }

    pub fn provider_takes(&mut self, key: &str, order: Option<Uuid>, amount: i64) -> i64 {
        self.sequence += 1;
        let (sequence, key) = (self.sequence, key.to_owned());
        self.charges.push(Charge { sequence, key, order, amount, returned: 0, status: "succeeded" });
        sequence
    }

    pub fn captured(&mut self, id: Uuid, amount: i64, charge: i64) {
        let payment = Payment {
            status: "captured",
            amount: Some(amount),
            captured: amount,
            refunded: 0,
            charge: Some(charge),
        };
        self.payments.insert(id, payment);
        let (order_id, taken) = (id.to_string(), gbp(amount));
        let payment_id = order_id.clone();
        let event = self.event(
            id,
            &PaymentProcessed { payment_id, order_id, amount: taken, ..PaymentProcessed::default() },
        );
        self.post(event, id, "provider_balance", "sales", amount);
    }

    pub fn give_back(&mut self, id: Uuid, refund: Uuid, amount: i64) {
        self.charges.iter_mut().find(|charge| charge.order == Some(id)).unwrap().returned += amount;
        self.payments.get_mut(&id).unwrap().refunded += amount;
        self.refund_pending(id, refund, amount);
        self.refunds.last_mut().unwrap().3 = "done";
        let (order_id, refund_id, returned) = (id.to_string(), refund.to_string(), gbp(amount));
        let payment_id = order_id.clone();
        let refunded = PaymentRefunded {
            payment_id,
            order_id,
            refund_id,
            amount: returned,
            ..PaymentRefunded::default()
        };
        let event = self.event(id, &refunded);
        self.post(event, id, "refunds", "provider_balance", amount);
    }

    /// Payments have been asked for the refund, and do not know yet what came of it.
    pub fn refund_pending(&mut self, id: Uuid, refund: Uuid, amount: i64) {
        self.hears_newest(Topic::Payments, Topic::Orders, id);
        self.refunds.push((refund, id, amount, "open"));
        let (order_id, refund_id, amount) = (id.to_string(), refund.to_string(), gbp(amount));
        self.event(id, &PaymentRefundPending { payment_id: order_id.clone(), order_id, refund_id, amount });
    }

    fn post(
        &mut self,
        transaction: Uuid,
        order: Uuid,
        debit: &'static str,
        credit: &'static str,
        amount: i64,
    ) {
        self.ledger.push((transaction, debit, order, amount));
        self.ledger.push((transaction, credit, order, -amount));
    }

    fn decline(&mut self, id: Uuid) {
        self.hears_newest(Topic::Payments, Topic::Orders, id);
        let amount = self.orders[&id].total;
        self.provider_takes(&id.to_string(), Some(id), amount);
        self.charges.last_mut().unwrap().status = "failed";
        self.payments.insert(id, Payment { status: "failed", amount: Some(amount), ..Payment::default() });
        let (order_id, amount) = (id.to_string(), gbp(amount));
        let payment_id = order_id.clone();
        let event =
            self.event(id, &PaymentFailed { payment_id, order_id, amount, ..PaymentFailed::default() });
        self.heard(Topic::Orders, event);
    }

    pub fn void(&mut self, id: Uuid) {
        self.hears_newest(Topic::Payments, Topic::Orders, id);
        self.payments.insert(id, Payment { status: "voided", ..Payment::default() });
        let (order_id, payment_id) = (id.to_string(), id.to_string());
        self.event(id, &PaymentVoided { payment_id, order_id, ..PaymentVoided::default() });
    }
}
