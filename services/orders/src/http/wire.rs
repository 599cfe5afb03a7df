//! What goes over the wire, and its schemas. Parsing into the domain's types happens in the handlers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use viscount_contracts::{Currency, Money, ProductId, Quantity};

use crate::domain::{Address, Status};

/// An amount of money in minor units.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money)]
pub struct MoneyBody {
    /// Minor units, such as pence.
    #[schema(example = 1999)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
}

impl From<MoneyBody> for Money {
    fn from(money: MoneyBody) -> Self {
        Money::new(money.amount, money.currency)
    }
}

/// A new order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// What is ordered, 1 to 1,000 lines; lines with one product are added up.
    pub lines: Vec<NewLine>,
    /// How it is paid.
    pub payment: NewPayment,
    /// Where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<AddressBody>,
}

/// One line of a new order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// A product of the catalogue.
    #[schema(value_type = Uuid)]
    pub product_id: ProductId,
    /// Pieces, 1 to 1,000,000.
    #[schema(value_type = u32, minimum = 1, maximum = 1_000_000)]
    pub quantity: Quantity,
}

/// The means of payment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// `card`.
    #[schema(example = "card")]
    pub method: String,
    /// The provider's token for the card; never a card number.
    #[schema(example = "tok_visa")]
    pub token: String,
}

/// Where the goods go.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressBody {
    /// Who receives them.
    pub name: String,
    /// Street and house, one to four lines.
    pub lines: Vec<String>,
    /// Town.
    pub city: String,
    /// Postal code, where there is one.
    #[serde(default)]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "GB")]
    pub country: String,
}

impl AddressBody {
    /// The pointer to and the problem of the first field that cannot be.
    pub fn problem(&self) -> Option<(String, &'static str)> {
        let fits =
            |text: &str, most: usize| !text.chars().any(char::is_control) && text.chars().count() <= most;
        let filled = |text: &str, most: usize| !text.trim().is_empty() && fits(text, most);
        if !filled(&self.name, 200) {
            return Some(("name".into(), "1 to 200 characters, no control characters"));
        }
        if self.lines.is_empty() || self.lines.len() > 4 {
            return Some(("lines".into(), "1 to 4 lines"));
        }
        if let Some(at) = self.lines.iter().position(|line| !filled(line, 200)) {
            return Some((format!("lines/{at}"), "1 to 200 characters, no control characters"));
        }
        if !filled(&self.city, 100) {
            return Some(("city".into(), "1 to 100 characters, no control characters"));
        }
        if !fits(&self.postal_code, 20) {
            return Some(("postal_code".into(), "at most 20 characters, no control characters"));
        }
        let country = self.country.as_bytes();
        (country.len() != 2 || !country.iter().all(u8::is_ascii_uppercase))
            .then(|| ("country".into(), "two upper-case letters of ISO 3166-1"))
    }
}

impl From<AddressBody> for Address {
    fn from(address: AddressBody) -> Self {
        let AddressBody { name, lines, city, postal_code, country } = address;
        Self { name, lines, city, postal_code, country }
    }
}

/// Why an order is called off.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// In words, at most 500 characters.
    #[serde(default)]
    pub reason: String,
}

/// A refund.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// How much; all that is left when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<MoneyBody>,
    /// In words, at most 500 characters.
    pub reason: String,
}

/// Which orders to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only in this status.
    pub status: Option<Status>,
    /// Only those accepted after this moment (RFC 3339).
    #[param(value_type = Option<String>)]
    pub created_after: Option<Timestamp>,
    /// Only those accepted before this moment (RFC 3339).
    #[param(value_type = Option<String>)]
    pub created_before: Option<Timestamp>,
    /// Only this buyer's; administrators only.
    pub customer_id: Option<Uuid>,
}

/// Admission to a stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketBody {
    /// To be sent as `?ticket=`, once.
    pub ticket: String,
    /// Seconds that it is good for.
    pub expires_in: u64,
}

/// An order, as documented; written by [`crate::view::OrderView`].
#[derive(ToSchema)]
#[schema(as = Order)]
#[allow(dead_code, reason = "a schema for the documentation")]
pub struct OrderBody {
    id: Uuid,
    status: Status,
    version: i32,
    customer_id: Uuid,
    lines: Vec<LineBody>,
    total: MoneyBody,
    refunded: MoneyBody,
    reason: Option<ReasonBody>,
    created_at: String,
    updated_at: String,
}

#[derive(ToSchema)]
#[schema(as = OrderLine)]
#[allow(dead_code, reason = "a schema for the documentation")]
pub struct LineBody {
    product_id: Uuid,
    sku: String,
    name: String,
    quantity: u32,
    unit_price: MoneyBody,
    line_total: MoneyBody,
}

#[derive(ToSchema)]
#[schema(as = Reason)]
#[allow(dead_code, reason = "a schema for the documentation")]
pub struct ReasonBody {
    code: String,
    detail: Option<String>,
    lines: Option<Vec<ShortLineBody>>,
}

#[derive(ToSchema)]
#[schema(as = ShortLine)]
#[allow(dead_code, reason = "a schema for the documentation")]
pub struct ShortLineBody {
    product_id: Uuid,
    wanted: u32,
    available: u32,
}

/// An event of an order, as documented; written by [`crate::view::EventView`].
#[derive(ToSchema)]
#[schema(as = OrderEvent)]
#[allow(dead_code, reason = "a schema for the documentation")]
pub struct EventBody {
    order_id: Uuid,
    version: i32,
    r#type: String,
    status: Status,
    occurred_at: String,
    #[schema(value_type = Object)]
    data: (),
}
