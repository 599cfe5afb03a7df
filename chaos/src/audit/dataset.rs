//! What an audit looks at, as plain data: it can be written down as evidence, and judged again without a platform.
//!
//! Nothing in it is interpreted yet. Events keep the bytes of their messages, rows are as they were read.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use viscount_contracts::Topic;

use super::verdict::Terms;
use crate::history::Line;

/// Everything that was found at one moment. The platform had come to rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// When it was collected; `None` only for an empty one.
    pub collected_at: Option<Timestamp>,
    /// What it is to be held to; the usual terms when absent.
    pub terms: Option<Terms>,
    /// How each service's log stands.
    pub logs: Vec<Log>,
    /// All services' events; those of one service by their positions.
    pub events: Vec<Event>,
    /// The topics on the brokers; empty where there are none.
    pub topics: Vec<TopicShape>,
    /// All messages of those topics, each partition in the order of its offsets.
    pub records: Vec<Record>,
    /// Which events have had their effect where.
    pub handled: Vec<Handled>,
    /// What could not be handled.
    pub letters: Vec<Letter>,
    /// First answers, by idempotency key.
    pub keys: Vec<KeyRow>,
    /// order_db: orders
    pub orders: Vec<OrderRow>,
    /// order_db: price_book
    pub prices: Vec<PriceRow>,
    /// inventory_db: stock
    pub stock: Vec<StockRow>,
    /// inventory_db: movements
    pub movements: Vec<MovementRow>,
    /// inventory_db: reservations
    pub reservations: Vec<ReservationRow>,
    /// payment_db: payments
    pub payments: Vec<PaymentRow>,
    /// payment_db: refunds
    pub refunds: Vec<RefundRow>,
    /// payment_db: ledger
    pub ledger: Vec<PostingRow>,
    /// payment_db: open_calls
    pub open_calls: Vec<OpenCallRow>,
    /// product_catalog_db: products
    pub products: Vec<ProductRow>,
    /// product_catalog_db: availability
    pub availability: Vec<AvailabilityRow>,
    /// The provider's own books: charges.
    pub charges: Vec<ChargeRow>,
    /// The provider's own books: refunds.
    pub returns: Vec<ReturnRow>,
    /// What the clients did and saw.
    pub history: Vec<Line>,
}

/// Services whose logs stand still when nobody orders; the others go on telling of logins and instances.
pub const BUSINESS: [Topic; 4] = [Topic::Catalog, Topic::Inventory, Topic::Orders, Topic::Payments];

/// Who reads whom.
pub const READS: [(Topic, Topic); 6] = [
    (Topic::Orders, Topic::Catalog),
    (Topic::Orders, Topic::Inventory),
    (Topic::Orders, Topic::Payments),
    (Topic::Inventory, Topic::Orders),
    (Topic::Payments, Topic::Orders),
    (Topic::Catalog, Topic::Inventory),
];

/// How a service's log stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Whose.
    pub service: Topic,
    /// The position that the service gave last, before anything was read.
    #[serde(default)]
    pub head_before: Option<i64>,
    /// The same when its events were read.
    pub head: i64,
    /// The same after everything was read: what is between was committed meanwhile.
    pub head_after: i64,
    /// Up to where the service believes that the brokers have acknowledged everything.
    pub relayed: i64,
    /// How often somebody has begun to publish: a replica that takes over from another, or comes again.
    #[serde(default)]
    pub epoch: Option<i64>,
}

impl Log {
    /// True when it did not stand still while everything was read.
    pub fn moved(&self) -> bool {
        self.head_after != self.head || self.head_before.is_some_and(|before| before != self.head)
    }
}

/// An event as its service keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whose.
    pub service: Topic,
    /// Its place in the service's log.
    pub position: i64,
    /// The aggregate.
    pub stream: Uuid,
    /// The aggregate's version after it.
    pub version: i32,
    /// Its id.
    pub id: Uuid,
    /// Its type, such as `OrderCreated`.
    pub kind: Cow<'static, str>,
    /// When it happened.
    pub at: Timestamp,
    /// The protobuf message; in writing each byte is one character, so that text in it stays readable.
    #[serde(with = "latin")]
    pub data: Box<[u8]>,
}

/// A topic on the brokers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicShape {
    /// Which.
    pub topic: Topic,
    /// How many partitions it has; 0 when there is no such topic.
    pub partitions: i32,
}

/// A message on a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which topic.
    pub topic: Topic,
    /// Which partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Its key as text.
    pub key: Option<Box<str>>,
    /// `ce_id`, when it is one.
    pub id: Option<Uuid>,
    /// `ce_subject`, when it is one.
    pub subject: Option<Uuid>,
    /// `ce_position`, when it is one.
    pub position: Option<i64>,
    /// `ce_version`, when it is one.
    pub version: Option<i32>,
    /// `ce_type`.
    pub kind: Cow<'static, str>,
    /// [`digest`] of the protobuf message, without a registry's frame.
    pub digest: u64,
    /// An experiment has put it there on purpose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub injected: bool,
}

/// An event that has had its effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// Where.
    pub service: Topic,
    /// Which event.
    pub event: Uuid,
}

/// What a consumer could not handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Whose consumer.
    pub service: Topic,
    /// The consumer.
    pub consumer: String,
    /// Where it came from.
    pub topic: String,
    /// The event's id, or the unreadable message's.
    pub id: Uuid,
    /// The aggregate; `None` for what cannot be read.
    pub key: Option<Uuid>,
    /// dead, parked, redriving; unreadable.
    pub state: String,
    /// What went wrong.
    pub error: String,
}

/// The first answer under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Whose database.
    pub service: Topic,
    /// Who asked.
    pub principal: Uuid,
    /// Under which key.
    pub key: String,
    /// The answer's status code.
    pub status: i16,
    /// The answer's body, JSON.
    pub body: Box<str>,
    /// When.
    pub at: Timestamp,
}

/// An order's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct OrderRow {
    pub id: Uuid,
    pub customer: Uuid,
    pub status: String,
    pub version: i32,
    pub total: i64,
    pub currency: String,
    pub refunded: i64,
    /// JSON.
    pub lines: Box<str>,
    /// JSON.
    pub reason: Option<Box<str>>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What orders believe that a product costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct PriceRow {
    pub product: Uuid,
    pub sku: String,
    pub name: String,
    pub amount: i64,
    pub currency: String,
    pub on_sale: bool,
}

/// Pieces of a product in a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct StockRow {
    pub product: Uuid,
    pub location: String,
    pub on_hand: i64,
    pub reserved: i64,
    pub version: i64,
}

/// A line of inventory's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct MovementRow {
    pub id: i64,
    pub product: Uuid,
    pub location: String,
    pub kind: String,
    pub reservation: Option<Uuid>,
    pub on_hand: i64,
    pub reserved: i64,
    pub version: i64,
}

/// A reservation's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct ReservationRow {
    pub id: Uuid,
    pub of_order: bool,
    pub state: String,
    pub version: i32,
    pub products: Vec<Uuid>,
    pub quantities: Vec<i32>,
}

/// A payment's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct PaymentRow {
    pub order: Uuid,
    pub status: String,
    pub version: i32,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub captured: i64,
    pub refunded: i64,
    pub reference: Option<String>,
}

/// A refund's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct RefundRow {
    pub id: Uuid,
    pub order: Uuid,
    pub state: String,
    pub amount: i64,
    pub currency: String,
    pub reference: Option<String>,
}

/// One side of a transaction of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct PostingRow {
    pub transaction: Uuid,
    pub account: String,
    pub order: Uuid,
    pub amount: i64,
    pub currency: String,
}

/// A question to the provider whose answer is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct OpenCallRow {
    pub key: Uuid,
    pub order: Uuid,
    pub kind: String,
    pub opened_at: Timestamp,
}

/// A product's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct ProductRow {
    pub id: Uuid,
    pub version: i32,
    pub sku: String,
    pub name: String,
    pub category: String,
    pub brand: String,
    pub price: i64,
    pub currency: String,
    pub archived: bool,
}

/// What the catalogue knows of a product's stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct AvailabilityRow {
    pub product: Uuid,
    pub available: i64,
    pub version: i32,
}

/// A charge in the provider's books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct ChargeRow {
    pub sequence: i64,
    pub key: String,
    /// The order that it names itself.
    pub order: Option<String>,
    pub amount: i64,
    pub currency: String,
    /// The money was taken.
    pub taken: bool,
    pub returned: i64,
}

/// A refund in the provider's books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns' names")]
pub struct ReturnRow {
    pub sequence: i64,
    pub key: String,
    pub charge: i64,
    pub amount: i64,
    pub currency: String,
}

/// FNV-1a, 64 bits: tells whether two messages are the same bytes. The same everywhere and for ever, for it is written down.
pub fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Bytes as text: U+0000 to U+00FF.
mod latin {
    use super::{Cow, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[u8]>, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.chars().map(|char| u8::try_from(u32::from(char)).map_err(serde::de::Error::custom)).collect()
    }
}
